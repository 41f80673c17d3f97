"""Outputs: what the stored training configuration says of them follows them.

Losses, loss weights and metrics are kept by output: by key in a dict model, by
the name of the layer that makes it in a list model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        context.lossless = {renamed.get(name, name): s for name, s in context.lossless.items()}


def rekey(root: Layer, names: Mapping[str, str]) -> None:
    """Give the entries of renamed outputs their new keys."""
    config = root.extra.get("compile_config")
    if not isinstance(config, Mapping):
        return
    root.extra["compile_config"] = {
        key: _rekeyed(value, names) if key in _KEYED else value for key, value in config.items()
    }


def _rekeyed(value: Any, names: Mapping[str, str]) -> Any:
    if not _is_keyed(value):
        return value
    return {names.get(key, key): item for key, item in value.items()}


def _is_keyed(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_name" not in value


def carry_training(context: Context, before: Sequence[str], origins: Mapping[str, str]) -> None:
    """Let losses, loss weights and metrics follow the outputs that stay; tell which are lost.

    Args:
        before: names of the outputs before the edit.
        origins: those that are still there: name now -> name before.
    """
    config, after = context.root.extra.get("compile_config"), output_names(context.root)
    if not isinstance(config, Mapping) or config.get("loss") is None:
        return
    context.root.extra["compile_config"] = {
        key: _carried(key, by_output(value, before), origins, after) if key in _KEYED else value
        for key, value in config.items()
    }
    if not origins:
        context.warn(
            "PC906",
            "the stored losses and metrics belong to outputs that are gone, and are dropped",
            help="say under `compile` what the new outputs are trained with",
        )
        return
    span = context.edit.verb_span
    context.lossless |= {name: span for name in after if name not in origins}


def _carried(key: str, value: Any, origins: Mapping[str, str], after: Sequence[str]) -> Any:
    if not isinstance(value, dict):
        return value
    found = {name: value[old] for name, old in origins.items() if old in value}
    if len(after) == 1:
        return found.get(after[0])
    return completed(key, found, after) if origins else None


def by_output(value: Any, names: Sequence[str]) -> Any:
    """A part of the training configuration as a dict by output; None stays None."""
    if value is None:
        return None
    if _is_keyed(value):
        return dict(value)
    if len(names) == 1:
        return {names[0]: value}
    if isinstance(value, list):
        return dict(zip(names, value, strict=True)) if len(value) == len(names) else value
    return dict.fromkeys(names, value)


def completed(key: str, value: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A part by output, in their order, with what Keras needs to find for each of them.

    An output that has no loss needs the loss null, and a weight all the same.
    """
    missing = {"loss": None, "loss_weights": 1.0}
    full = {**dict.fromkeys(names, missing[key]), **value} if key in missing else value
    return {name: full[name] for name in names if name in full}


def warn_of_lossless(context: Context) -> None:
    """Warn of outputs that edits have made and that have no loss in the end."""
    config = context.root.extra.get("compile_config")
    losses = config.get("loss") if isinstance(config, Mapping) else None
    for name, span in context.lossless.items():
        if isinstance(losses, Mapping) and _is_keyed(losses) and losses.get(name, "") is None:
            context.warn(
                "PC906",
                f"the new output `{name}` has no loss: training will not reach it",
                span=span,
                help=f"add `compile: {{loss: {{{name}: ...}}}}` to the patch",
            )
