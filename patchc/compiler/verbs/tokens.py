"""`expand: {tokens: [...]}`: words for a vocabulary, and rows for what reads their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from patchc.model.document import vocabulary_files
from patchc.model.graph import Call, Layer, Tensor, flatten
from patchc.model.values import Strategy
from patchc.model.vocabulary import lines_of

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
            tokens, PC306 where something else reads its ids, PC310 or PC404 for
            a vocabulary that is not there or cannot be read.
    """
    layer, rule = resizable(context, match)
    if not isinstance(rule, Lookup):
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no vocabulary",
            help="`tokens` is for StringLookup, IntegerLookup and TextVectorization",
        )
    config = complete(rule, layer.config)
    words = _words(context, layer, rule, config)
    problem = rule.token_problem(config, words, tokens)
    if problem is not None:
        context.refuse("PC301", f"`{layer.path}` {problem}", help="give other tokens")
    keys = dict(rule.with_tokens(config, words, tokens))
    plans = _plans(context, layer, rule, words, keys, len(tokens), preserve=preserve)
    if config["output_mode"] == "int":
        plans = _filled(context, plans, rule.unknown_id(config) if preserve else None)
    if "vocabulary" not in keys:
        context.appended.setdefault(layer, []).extend(map(str, tokens))
    layer.config = {**layer.config, **keys}
    context.log(
        "set", layer.path, {"tokens": rule.indices(config, words)}, {"tokens": list(tokens)}
    )
    if "max_tokens" in keys:
        before = {"max_tokens": config["max_tokens"]}
        context.log("set", layer.path, before, {"max_tokens": keys["max_tokens"]}, _FULL)
    for plan in plans:
        resize(context, plan)
    settle(context)


_FULL = "its vocabulary would not take more"


def _words(context: Context, layer: Layer, rule: Lookup, config: Mapping[str, Any]) -> list[Any]:
    """The vocabulary: that of the configuration, or of the file beside it."""
    words = config.get("vocabulary")
    if isinstance(words, list):
        return words
    document = context.document
    files = vocabulary_files(document, layer)
    if not files or document.read_asset is None:
        context.refuse(
            "PC310",
            f"the vocabulary of `{layer.path}` is neither in its configuration nor in the file",
            help="let Keras load the model, and save it again",
        )
    try:
        found = [rule.parsed(lines_of(document.read_asset(name))) for name in files]
    except ValueError as error:
        context.refuse(
            "PC404",
            f"the vocabulary of `{layer.path}` cannot be read: {error}",
            help="let Keras load the model, and save it again",
        )
    if found.count(found[0]) != len(found):
        context.refuse(
            "PC404",
            f"`{layer.path}` has two vocabularies that differ: `{files[0]}` and `{files[1]}`",
            help="let Keras load the model, and save it again",
        )
    return [*found[0], *rule.parsed(context.appended.get(layer, []))]


def _plans(
    context: Context,
    layer: Layer,
    rule: Lookup,
    words: Sequence[Any],
    keys: Mapping[str, Any],
    more: int,
    *,
    preserve: bool,
) -> list[Resize]:
    """What grows with the vocabulary: layers that read its ids, or its encodings' features.

    Args:
        words: the vocabulary so far.
        keys: of the configuration that change.
    """
    config = complete(rule, layer.config)
    if config["output_mode"] != "int":
        padded = bool(config.get("pad_to_max_tokens"))
        size = int(config["max_tokens"]) if padded else rule.indices(config, words)
        after = int(keys.get("max_tokens", size)) if padded else size + more
        change = AxisMap.grown(size, after - size)
        if change.is_identity(size):
            return []
        return [plan_resize(context, layer, "tokens", change, size, preserve=preserve)]
    size = rule.indices(config, words)
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
