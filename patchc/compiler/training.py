"""`compile`: changes to the stored training configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchc.compiler.context import Context
from patchc.compiler.outputs import by_output, completed, output_names
from patchc.layers.base import RuleError
from patchc.layers.training import LOSSES, METRICS, learning_rate, loss, metric, optimizer
from patchc.model.initializers import snake_case

_FRESH: Mapping[str, Any] = {
    "optimizer": None,
    "loss": None,
    "loss_weights": None,
    "metrics": None,
    "weighted_metrics": None,
    "run_eagerly": False,
    "steps_per_execution": 1,
    "jit_compile": False,
}


def change_training(context: Context) -> None:
    """Carry out the patch's `compile`, after its edits.

    Raises:
        PatchError: PC301 where the model was never compiled and the patch
            does not say enough, PC303 for what Keras does not have.
    """
    wanted = context.patch.compile
    if not wanted:
        return
    root = context.root
    before = dict(root.extra.get("compile_config") or {})
    if not before.get("optimizer") and "optimizer" not in wanted:
        context.refuse(
            "PC301",
            "the model holds no training configuration to change",
            span=context.patch.spans.get("compile"),
            help="give `optimizer` and `loss`",
        )
    after = {**_FRESH, **before}
    for key in sorted(wanted, key=_ORDER.index):
        try:
            _set(context, after, key, wanted[key])
        except RuleError as error:
            context.problem("PC303", f"`{key}` {error}", _span(context, key), "see keras.io/api")
    context.raise_problems()
    old, new = _told(before), _told(after)
    changed = {key: value for key, value in new.items() if value != old.get(key)}
    if changed:
        context.log("set", "", {key: old.get(key) for key in changed}, changed)
    root.extra["compile_config"] = after


def _told(config: Mapping[str, Any]) -> dict[str, Any]:
    """What people know of a training configuration: the optimizer's class and its arguments."""
    told = {key: config.get(key) for key in ("loss", "loss_weights", "metrics")}
    optimizer_config = config.get("optimizer")
    if not isinstance(optimizer_config, Mapping):
        return {"optimizer": optimizer_config, **told}
    arguments = dict(optimizer_config.get("config") or {})
    return {"optimizer": optimizer_config.get("class_name"), **arguments, **told}


def _span(context: Context, key: str) -> Any:
    spans = context.patch.spans
    return spans.get(f"compile.{key}") or spans["compile"]


_ORDER = ("optimizer", "learning_rate", "loss", "loss_weights", "metrics")
"""A learning rate is that of the new optimizer, wherever the patch says it."""


def _set(context: Context, config: dict[str, Any], key: str, value: Any) -> None:
    match key:
        case "learning_rate":
            config["optimizer"] = _with_rate(config["optimizer"], learning_rate(value))
        case "optimizer":
            config["optimizer"] = optimizer(value, config["optimizer"])
        case "loss":
            config[key] = _by_output(context, config, key, value, loss, LOSSES)
        case "metrics":
            config[key] = _by_output(context, config, key, value, _metrics, METRICS)
        case _:
            config[key] = _by_output(context, config, key, value, lambda item: item, {})


def _with_rate(config: Mapping[str, Any], rate: Any) -> dict[str, Any]:
    inner = config["config"].get("inner_optimizer")
    changed = dict(config["config"])
    if inner is not None:
        changed["inner_optimizer"] = _with_rate(inner, rate)
    if "learning_rate" in changed or inner is None:
        changed["learning_rate"] = rate
    return {**config, "config": changed}


def _metrics(value: Any) -> Any:
    if isinstance(value, list):
        return [_metrics(item) for item in value]
    return None if value is None else metric(value)


def _by_output(
    context: Context,
    config: Mapping[str, Any],
    part: str,
    value: Any,
    convert: Callable[[Any], Any],
    classes: Mapping[str, str],
) -> Any:
    """Convert a value, or one for each output: by name, or as a list.

    Outputs that a mapping by name does not mention keep what they have.
    """
    names = output_names(context.root)
    if isinstance(value, list) and convert is not _metrics:
        if len(value) != len(names):
            raise RuleError(f"has {len(value)} entries for {len(names)} outputs")
        return [convert(item) for item in value]
    known = {*classes, *map(snake_case, classes)}
    if not isinstance(value, Mapping) or (len(value) == 1 and known & set(value) - set(names)):
        return convert(value)
    strange = [key for key in value if key not in names]
    if strange:
        listed = ", ".join(f"`{name}`" for name in names)
        raise RuleError(f"names an output `{strange[0]}` that is not there; there are {listed}")
    before = by_output(config.get(part), names)
    kept = before if isinstance(before, dict) else {}
    return completed(part, {**kept, **{key: convert(item) for key, item in value.items()}}, names)
