"""`expand: {tokens: [...]}`: words for a vocabulary, and rows for what reads their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from patchc.compiler.context import Context, graphs_below
from patchc.compiler.fill import strategies
from patchc.compiler.member import Resize
from patchc.compiler.movement import mover_of
from patchc.compiler.resize import plan_resize, resizable, resize
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.layers.base import complete
from patchc.layers.infer import rule_of
from patchc.layers.vocabulary import Lookup
from patchc.model.axis import AxisMap
from patchc.model.graph import Call, Layer, Tensor, flatten
from patchc.model.values import Strategy

_ROWS = {
    "CategoryEncoding": "num_tokens",
    "Embedding": "input_dim",
    "ReversibleEmbedding": "input_dim",
}
"""Layers that read ids -> the dimension that ids count."""


def append_tokens(context: Context, match: Match, tokens: Sequence[Any], *, preserve: bool) -> None:
    """Append tokens to the vocabulary of a lookup layer.

    They get the ids behind all others.  What reads those ids grows at that
    place, so that every older token keeps its row.

    Raises:
        PatchError: PC301 where the layer has no vocabulary or cannot take the
            tokens, PC306 where something else reads its ids.
    """
    layer, rule = resizable(context, match)
    if not isinstance(rule, Lookup):
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no vocabulary",
            help="`tokens` is for StringLookup and IntegerLookup",
        )
    config = complete(rule, layer.config)
    if not isinstance(config.get("vocabulary"), list):
        context.refuse(
            "PC310",
            f"the vocabulary of `{layer.path}` is a file of its own, which this version does not"
            " edit",
            help="give the layer its `vocabulary` in Keras and save the model again",
        )
    problem = rule.token_problem(config, tokens)
    if problem is not None:
        context.refuse("PC301", f"`{layer.path}` {problem}", help="give other tokens")
    size = rule.indices(config)
    assert size is not None  # the vocabulary is in the configuration
    plans = _plans(context, layer, config, size, len(tokens), preserve=preserve)
    if config["output_mode"] == "int":
        plans = _filled(context, plans, rule.unknown_id(config) if preserve else None)
    keys = dict(rule.with_tokens(config, tokens))
    layer.config = {**layer.config, **keys}
    context.log("set", layer.path, {"tokens": size}, {"tokens": list(tokens)})
    for plan in plans:
        resize(context, plan)
    settle(context)


def _plans(
    context: Context, layer: Layer, config: Any, size: int, more: int, *, preserve: bool
) -> list[Resize]:
    """What grows with the vocabulary: layers that read its ids, or its encodings' features."""
    change = AxisMap.grown(size, more)
    if config["output_mode"] != "int":
        return [plan_resize(context, layer, "tokens", change, size, preserve=preserve)]
    plans = []
    for reader in dict.fromkeys(_readers_of_ids(context, layer)):
        dimension = _ROWS[reader.class_name]
        rows = int(reader.config[dimension])
        if rows < size:
            context.refuse(
                "PC306",
                f"`{reader.path}` has {rows} rows for the {size} ids of `{layer.path}`",
                help="grow it first",
            )
        wider = AxisMap.grown(rows, more, [size] * more)
        plans.append(plan_resize(context, reader, dimension, wider, rows, preserve=preserve))
    return plans


def _readers_of_ids(context: Context, layer: Layer) -> Iterator[Layer]:
    """The layers behind a lookup that read its ids.  Refuses what reads them as numbers."""
    readers: dict[Tensor, list[Call]] = {}
    for graph in graphs_below(context.root):
        for call in graph.calls():
            for tensor in call.tensors():
                readers.setdefault(tensor, []).append(call)
    pending = [Tensor(call) for call in layer.calls]
    seen: set[Tensor] = set()
    while pending:
        tensor = pending.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        for call in readers.get(tensor, []):
            if call.layer.class_name in _ROWS and rule_of(call.layer) is not None:
                yield call.layer
            else:
                pending += _beyond(context, layer, call, tensor)
        home = tensor.layer.home
        if home is not None and tensor in flatten(home.outputs):
            if home.owner is context.root:
                _refuse_reader(context, layer, tensor.layer)
            number = flatten(home.outputs).index(tensor)
            pending += [Tensor(call, number) for call in home.owner.calls]


def _beyond(context: Context, layer: Layer, call: Call, tensor: Tensor) -> list[Tensor]:
    """Where ids go through a call that hands them on as they are; nowhere in a mask."""
    reader = call.layer
    if reader.graph is not None:
        inside = flatten(reader.graph.inputs)
        return [inside[i] for i, read in enumerate(call.tensors()) if read == tensor]
    if reader.is_operation and reader.class_name in {"Equal", "NotEqual"}:
        return []
    plain = {"Cast", "Copy", "StopGradient"} if reader.is_operation else {"Identity"}
    if mover_of(reader) is None and reader.class_name not in plain:
        _refuse_reader(context, layer, reader)
    return [Tensor(call, index) for index in range(len(call.outputs or [None]))]


def _refuse_reader(context: Context, layer: Layer, reader: Layer) -> NoReturn:
    context.refuse(
        "PC306",
        f"`{layer.path}` cannot take further tokens: `{reader.path}` ({reader.class_name}) reads"
        " its ids, and is no embedding or encoding of them",
        help="put an embedding or an encoding behind the lookup",
    )


def _filled(context: Context, plans: list[Resize], unknown: int | None) -> list[Resize]:
    """The plans with what `init` says of new rows, its keys checked over all of them.

    Where it says nothing, a token that was unknown so far starts as what
    unknown tokens were: then nothing changes for any text.

    Args:
        unknown: the one id of unknown tokens, where old entries must not notice.
    """
    targets = [(plan.source, weight) for plan in plans for weight in plan.source.weights]
    chosen = dict(zip(targets, strategies(context, context.edit.init, targets), strict=True))
    silent = context.edit.init is None and unknown is not None
    copied = Strategy("copy", {"index": unknown})
    return [
        replace(
            plan,
            fills={
                weight: copied if silent else chosen[plan.source, weight]
                for weight in plan.source.weights
            },
        )
        for plan in plans
    ]
