"""From two models to the patch that leads from one to the other.

Edits are proposed, tried with the compiler, and taken where they bring the
model nearer to the other one; so whatever comes out has been compiled, and
gives the other one's structure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from patchc.compiler.compile import compile_patches
from patchc.compiler.plan import Plan
from patchc.diff.entries import Entries
from patchc.diff.gaps import Gap, gaps_between
from patchc.diff.pairs import pair_layers
from patchc.diff.patch_text import patch_text
from patchc.diff.proposals import Proposals
from patchc.diff.sizes import Edit
from patchc.errors import Diagnostic, PatchError
from patchc.language.load import loads
from patchc.model.document import Document, structure_hash
from patchc.model.graph import Layer

_TRIED = 32
"""So many proposals are tried at each step."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """Edits that lead to another model.

    Args:
        plan: what they do; None where there is nothing to do.
    """

    edits: tuple[Edit, ...]
    plan: Plan | None


@dataclass(slots=True)
class _State:
    """How far edits have led.

    Args:
        root: the model that they make.
        left: what still differs.
    """

    edits: list[Edit]
    plan: Plan | None
    root: Layer
    left: list[Gap]
    reasons: list[str]


def infer_edits(
    base: Callable[[], Document], after: Document, entries: Entries | None = None
) -> Inferred:
    """The edits that lead from one model to another.

    Args:
        base: gives a fresh document of the model before.
        entries: tells which entries of a resized layer were there before; left
            out, the first ones.

    Raises:
        PatchError: PC311 where no patch was found; it names what is left.
    """
    state = _state([], None, base().root, after.root)
    while state.left:
        better = _step(base, state, after.root, entries)
        if better is None:
            raise PatchError(_refusal(state, after))
        state = better
    if structure_hash(state.root) != structure_hash(after.root):
        raise PatchError(_refusal(state, after))
    return Inferred(tuple(state.edits), state.plan)


def _state(edits: list[Edit], plan: Plan | None, root: Layer, after: Layer) -> _State:
    return _State(edits, plan, root, gaps_between(root, after, pair_layers(root, after)), [])


def _step(
    base: Callable[[], Document], state: _State, after: Layer, entries: Entries | None
) -> _State | None:
    """The best of the proposals, None where none leads further."""
    pairs = pair_layers(state.root, after)
    proposals = Proposals(state.root, after, pairs, state.left, entries)
    best: _State | None = None
    for edit in islice(_different(proposals.all()), _TRIED):
        try:
            plan = compile_edits(base(), [*state.edits, edit])
        except PatchError as error:
            state.reasons.append(error.diagnostics[0].message)
            continue
        tried = _state([*state.edits, edit], plan, plan.base.root, after)
        if len(tried.left) < len((best or state).left):
            best = tried
    state.reasons[:0] = [str(error) for error in proposals.unspeakable]
    return best


def _different(edits: Iterator[Edit]) -> Iterator[Edit]:
    seen: set[str] = set()
    for edit in edits:
        text = json.dumps(edit, sort_keys=True)
        if text not in seen:
            seen.add(text)
            yield edit


def compile_edits(document: Document, edits: Sequence[Edit], **keys: Any) -> Plan:
    """Compile edits that are given as data."""
    text = patch_text({"patchc": 1, "id": "difference", "edits": list(edits)} | keys)
    return compile_patches(document, [loads(text, "<difference>")])


_WORDS = {
    "new": "is new",
    "gone": "is gone",
    "name": "has another name",
    "weights": "has other weights",
    "config": "has another configuration",
    "reads": "reads something else",
    "outputs": "has other outputs",
    "inputs": "has other inputs",
    "trainable": "has another flag",
}


def _refusal(state: _State, after: Document) -> Diagnostic:
    told = list(dict.fromkeys(f"`{gap.where}` {_WORDS[gap.kind]}" for gap in state.left))
    more = f" and {len(told) - 4} more" if len(told) > 4 else ""
    left = ", ".join(told[:4]) or "the order of the connections differs"
    reason = f" ({state.reasons[0]})" if state.reasons else ""
    return Diagnostic(
        "PC311",
        f"no patch was found that leads there: {left}{more}{reason}",
        file=after.path,
        help="write these edits by hand; `patchc diff` without `--as-patch` shows all differences",
    )
