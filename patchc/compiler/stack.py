"""Stacks: several patches on one model, where they overlap, and whether their order matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from patchc.compiler.compile import compile_patches
from patchc.compiler.outline import spans_of
from patchc.compiler.plan import Operation, Plan
from patchc.errors import Diagnostic, PatchError, Span
from patchc.language.patch import Patch
from patchc.model.document import Document

Compile = Callable[[Sequence[Patch]], Plan]


def compile_stack(
    base: Callable[[], Document], patches: Sequence[Patch], *, again: bool = False
) -> Plan:
    """Compile patches, and hold several of them against one another.

    Args:
        base: gives a fresh document for each compilation.
        again: take patches that are in the model's history already.

    Returns:
        The plan; its warnings name edits of different patches that overlap
        (PC910), `independent` the neighbours whose order does not matter.

    Raises:
        PatchError: as `compile_patches`; where a patch fits the model and only
            an earlier patch is in its way, PC314 names that one.
    """

    def compiled(given: Sequence[Patch]) -> Plan:
        return compile_patches(base(), given, again=again)

    if len(patches) < 2:
        return compiled(patches)
    try:
        plan = compiled(patches)
    except PatchError as error:
        raise PatchError(*error.diagnostics, *_in_the_way(compiled, patches, error)) from None
    found = sorted([*plan.warnings, *_overlaps(plan, patches)], key=lambda w: w.position)
    independent = tuple(
        (one.id, other.id)
        for place, (one, other) in enumerate(pairwise(patches))
        if _commute(compiled, plan, patches, place)
    )
    return replace(plan, warnings=tuple(found), independent=independent)


# ---------------------------------------------------------------------------- order


def _commute(compiled: Compile, plan: Plan, patches: Sequence[Patch], place: int) -> bool:
    """Whether the patch at a place and the next one give the same model in either order."""
    one, other = patches[place : place + 2]
    try:
        turned = compiled([*patches[:place], other, one, *patches[place + 2 :]])
    except PatchError:
        return False
    return bool(_result(turned) == _result(plan))


def _result(plan: Plan) -> Any:
    return plan.config, plan.ledger.entries, plan.optimizer.entries, plan.assets, plan.appended


# ------------------------------------------------------------------------- overlaps


@dataclass(frozen=True, slots=True)
class _Touch:
    """What an edit does to one thing: a key of a layer, a weight, or a whole layer."""

    patch: Patch
    span: Span
    operation: Operation

    @property
    def where(self) -> str:
        """`a.yaml:7`."""
        return f"`{self.patch.source.name}:{self.span.line}`"


def _overlaps(plan: Plan, patches: Sequence[Patch]) -> Iterator[Diagnostic]:
    """A warning for each pair of edits, of two patches, that do something to the same thing."""
    places = [(patch, span) for patch in patches for span in spans_of(patch)]
    names: dict[str, str] = {}
    earlier: dict[tuple[str, str], _Touch] = {}
    told: set[tuple[int, int, str]] = set()
    for operation in plan.operations:
        patch, span = places[operation.edit]
        touch = _Touch(patch, span, operation)
        for thing, value in _things(operation, names).items():
            before = _before(earlier, thing)
            if before is not None and before.patch is not patch:
                pair = (before.operation.edit, operation.edit, thing[0])
                if pair not in told:
                    told.add(pair)
                    yield _overlap(before, touch, thing, value)
            earlier[thing] = touch
        if operation.action == "rename":
            names[str(operation.after)] = names.get(str(operation.before), str(operation.before))


def _things(operation: Operation, names: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    """What an operation changes: address and key -> new value."""
    address = names.get(operation.address, operation.address)
    match operation.action:
        case "set" | "resize" if isinstance(operation.after, Mapping):
            if isinstance(operation.before, Mapping) or operation.action == "set":
                return {(address, str(key)): value for key, value in operation.after.items()}
            return {}
        case "rename":
            return {(address, "name"): operation.after}
        case "initialise" if operation.before is not None:
            return {(address, "values"): operation.after}
        case "remove":
            return {(address, "*"): None}
        case _:
            return {}


def _before(earlier: Mapping[tuple[str, str], _Touch], thing: tuple[str, str]) -> _Touch | None:
    """The latest edit that has done something to the same thing; to any part of a removed layer."""
    address, key = thing
    if key != "*":
        return earlier.get(thing)
    parts = [t for (of, _), t in earlier.items() if of == address or of.startswith(f"{address}/")]
    return parts[-1] if parts else None


def _overlap(before: _Touch, after: _Touch, thing: tuple[str, str], value: Any) -> Diagnostic:
    address, key = thing
    owner = f"`{address}`" if address else "the model"
    what = owner if key in {"*", "values"} else f"`{key}` of {owner}"
    if key == "*":
        message = f"takes out {what}, which {before.where} has changed"
    elif key == "values":
        message = f"makes {what} anew, as {before.where} does"
    elif key in {"trainable", "name"} or before.operation.action == "set":
        message = f"contradicts {before.where}: both set {what}, and this one wins"
    else:
        message = f"changes {what} once more, after {before.where}"
    return Diagnostic(
        "PC910",
        message,
        after.span,
        "say it in one patch only, or leave it: patches are applied in the order given",
        severity="warning",
    )


# ------------------------------------------------------------------------ conflicts


def _in_the_way(
    compiled: Compile, patches: Sequence[Patch], error: PatchError
) -> Iterator[Diagnostic]:
    """The earlier edits without which a patch that is refused would fit the model."""
    sources = {d.span.source for d in error.diagnostics if d.span is not None}
    refused = next((patch for patch in patches if patch.source in sources), None)
    if refused is None or patches.index(refused) == 0:
        return
    before = patches[: patches.index(refused)]
    for number in reversed(range(len(before))):
        rest = [*before[:number], *before[number + 1 :], refused]
        if not _fits(compiled, rest):
            continue
        other = before[number]
        turned = _fits(compiled, [*before[:number], refused, other, *before[number + 1 :]])
        way_out = "give them in the other order" if turned else "make one patch of both"
        message = f"without `{other.id}` the patch `{refused.id}` would fit: they contradict"
        yield Diagnostic("PC314", message, _place(other, compiled, refused), way_out)
        return


def _fits(compiled: Compile, patches: Sequence[Patch]) -> bool:
    try:
        compiled(patches)
    except PatchError:
        return False
    return True


def _place(other: Patch, compiled: Compile, refused: Patch) -> Span:
    """The edit of the earlier patch without which the later one fits, else its first."""
    for edit in other.edits:
        rest = tuple(e for e in other.edits if e is not edit)
        if rest and _fits(compiled, [replace(other, edits=rest), refused]):
            return edit.span
    return other.edits[0].span
