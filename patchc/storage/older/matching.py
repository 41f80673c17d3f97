"""Matching: recorded names of weights to the weights that a layer has.

Older files record a weight under the name that its variable had, which holds
more or less of the path to it: `dense_1/kernel:0`, `bi/forward_lstm/kernel:0`,
`dense_1_W` (Keras 1), `conv2d_1_1/kernel:0` (a name taken twice in one
session).  A name is matched by its own end and by the layers that it goes
through, never by its place in the list; what stays ambiguous is not matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"_\d+$")
_TENSOR = re.compile(r":\d+$")
_KERAS1 = {
    "W": "kernel",
    "b": "bias",
    "U": "recurrent_kernel",
    "gamma": "gamma",
    "beta": "beta",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "embeddings": "embeddings",
    "alphas": "alpha",
}
_FLAT = re.compile(rf"(.+)_({'|'.join(_KERAS1)})(_\d+)?")
_OLD_NAMES = {"depthwise_kernel": "kernel"}
"""Name in older files -> what Keras 3 calls that weight in another class."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A weight that is looked for.

    Args:
        path: names of the layers around it, below the recorded layer, and of
            the parts of its own layer: `("d1", "kernel")`.
        shape: as the layer's configuration calls for.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]


class MatchError(ValueError):
    """Names that do not tell which weight is which; the message is a clause."""


def match(recorded: Mapping[str, tuple[int, ...]], wanted: Sequence[Wanted]) -> dict[str, int]:
    """Find for each recorded name the number of the weight that it means.

    Args:
        recorded: shapes by recorded name.

    Raises:
        MatchError: there are more or fewer names than weights, or a name fits
            none of them, or several equally well.
    """
    if len(recorded) != len(wanted):
        raise MatchError(f"{len(recorded)} weights are recorded and {len(wanted)} are called for")
    found: dict[str, int] = {}
    ranks = {name: _ranks(parts_of(name), shape, wanted) for name, shape in recorded.items()}
    free = set(range(len(wanted)))
    while ranks:
        settled = _settled(ranks, free)
        if not settled:
            name = next(iter(ranks))
            raise MatchError(f"the recorded name `{name}` does not tell which weight it is")
        found |= settled
        free -= set(settled.values())
        ranks = {name: rank for name, rank in ranks.items() if name not in settled}
    return found


def _settled(ranks: Mapping[str, Mapping[int, int]], free: set[int]) -> dict[str, int]:
    """Names whose best weight is clear, and is that of no other name as well."""
    best: dict[str, int] = {}
    for name, rank in ranks.items():
        open_ = {number: score for number, score in rank.items() if number in free}
        top = [number for number, score in open_.items() if score == max(open_.values())]
        if len(top) == 1:
            best[name] = top[0]
    claims: dict[int, list[str]] = {}
    for name, number in best.items():
        claims.setdefault(number, []).append(name)
    settled = {}
    for number, names in claims.items():
        scores = {name: ranks[name][number] for name in names}
        winners = [name for name in names if scores[name] == max(scores.values())]
        rivals = [n for n, rank in ranks.items() if rank.get(number, 0) > scores[winners[0]]]
        if len(winners) == 1 and not rivals:
            settled[winners[0]] = number
    return settled


def parts_of(name: str) -> tuple[str, ...]:
    """The components of a recorded name, in the words of Keras 3.

    >>> parts_of("dense_1_W:0")
    ('dense_1', 'kernel')
    """
    plain = _TENSOR.sub("", name.replace("\\", "/"))
    *around, own = [part for part in plain.split("/") if part] or [plain]
    flat = _FLAT.fullmatch(own)
    if flat:
        prefix, word, _ = flat.groups()
        return (*around, prefix, _KERAS1[word])
    return (*around, own)


def _ranks(
    parts: tuple[str, ...], shape: tuple[int, ...], wanted: Sequence[Wanted]
) -> dict[int, int]:
    """How well a name fits each weight that it may mean."""
    found = {}
    for number, weight in enumerate(wanted):
        if weight.shape != shape:
            continue
        last = _likeness(parts[-1], weight.path[-1]) or int(
            _OLD_NAMES.get(parts[-1]) == weight.path[-1]
        )
        if last:
            found[number] = last + 4 * _common(parts[:-1], weight.path[:-1])
    return found


def _likeness(recorded: str, name: str) -> int:
    """2 for the same word, 1 where the recorded one carries a further number, else 0."""
    if recorded == name:
        return 2
    return int(_NUMBER.sub("", recorded) == name)


def _common(recorded: Sequence[str], path: Sequence[str]) -> int:
    """Weight of the longest common subsequence of two paths."""
    row = [0] * (len(path) + 1)
    for part in recorded:
        previous = row
        row = [0]
        for index, name in enumerate(path):
            joined = previous[index] + _likeness(part, name)
            row.append(max(previous[index + 1], row[index], joined))
    return row[-1]
