"""Outputs: what the stored training configuration says of them follows them.

Losses, loss weights and metrics are kept by output: by key in a dict model, by
the name of the layer that makes it in a list model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.compiler.context import Context
from patchc.compiler.select import named_ends
from patchc.model.graph import Layer

_KEYED = ("loss", "loss_weights", "metrics", "weighted_metrics")


def output_names(root: Layer) -> list[str]:
    """Names of the root's outputs, in their order."""
    assert root.graph is not None
    return [name for name, _ in named_ends(root.graph.outputs)]


def follow_outputs(context: Context) -> None:
    """Re-key the compile configuration where outputs got other names."""
    before, after = context.output_names, output_names(context.root)
    context.output_names = after
    renamed = {old: new for old, new in zip(before, after, strict=False) if old != new}
    if len(before) == len(after) and renamed:
        rekey(context.root, renamed)


def rekey(root: Layer, names: Mapping[str, str]) -> None:
    """Give the entries of renamed outputs their new keys."""
    config = root.extra.get("compile_config")
    if not isinstance(config, Mapping):
        return
    root.extra["compile_config"] = {
        key: _rekeyed(value, names) if key in _KEYED else value for key, value in config.items()
    }


def _rekeyed(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, Mapping) or "class_name" in value:
        return value
    return {names.get(key, key): item for key, item in value.items()}


def add_to_training(context: Context, before: list[str]) -> None:
    """Give a new output its place in the training configuration: no loss, no metrics.

    Keras needs the dict form for that: a missing key is an error, null is not.

    Args:
        before: names of the outputs without the new one.
    """
    config = context.root.extra.get("compile_config")
    new = [name for name in output_names(context.root) if name not in before]
    if not isinstance(config, Mapping) or config.get("loss") is None or not new:
        return
    changed = dict(config)
    for key in _KEYED:
        keyed = _by_output(config.get(key), before)
        if isinstance(keyed, dict) and key == "loss":
            keyed |= dict.fromkeys(new)
        changed[key] = keyed
    context.root.extra["compile_config"] = changed
    context.warn(
        "PC906",
        f"the new output `{new[0]}` has no loss: training will not reach it",
        help=f"compile the result with loss={{..., {new[0]!r}: ...}}",
    )


def _by_output(value: Any, names: list[str]) -> Any:
    """A part of the training configuration as a dict by output."""
    if value is None or (isinstance(value, Mapping) and "class_name" not in value):
        return dict(value) if value is not None else None
    if len(names) == 1:
        return {names[0]: value}
    if isinstance(value, list) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    return value


def replace_in_training(context: Context, before: list[str]) -> None:
    """After other outputs took over: keep what still fits one output, drop the rest loudly."""
    config = context.root.extra.get("compile_config")
    after = output_names(context.root)
    if not isinstance(config, Mapping) or config.get("loss") is None:
        return
    if len(before) == len(after):
        rekey(context.root, dict(zip(before, after, strict=True)))
        return
    context.root.extra["compile_config"] = {
        **config,
        "loss": None,
        "loss_weights": None,
        "metrics": None,
        "weighted_metrics": None,
    }
    context.warn(
        "PC906",
        "the stored losses and metrics belong to outputs that are gone, and are dropped",
        help="compile the result before training on",
    )
