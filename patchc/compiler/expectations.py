"""`expect`, `requires` and the history: what must hold before anything is done."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from patchc.compiler.context import Context, shape_text
from patchc.compiler.select import named_ends
from patchc.model.document import structure_hash


def check_expectations(context: Context, done: Collection[str], *, again: bool) -> None:
    """Hold the model, as earlier patches left it, against what the patch says of it.

    Args:
        done: ids of the patches in the history, and of the earlier ones.
        again: whether the patch itself may be among them.

    Raises:
        PatchError: PC307 and PC313 for everything that does not hold.
    """
    patch = context.patch
    if patch.id in done and not again:
        context.problem(
            "PC313",
            f"`{patch.id}` is in the history of the model already",
            patch.spans["id"],
            "`patchc log MODEL` shows the history; apply it a second time with `--again`",
        )
    for wanted in patch.requires:
        if wanted not in done:
            message = f"`{wanted}` is required, and is not in the history of the model"
            way_out = _missing(context, wanted)
            context.problem("PC307", message, patch.spans["requires"], way_out)
    _check_expect(context)
    context.raise_problems()


def _missing(context: Context, wanted: str) -> str:
    document = context.document
    if not document.fingerprint:
        return "a model in memory has no history: apply the patch to the saved file"
    if document.history:
        return f"apply `{wanted}` first, or give both patches in one call"
    return (
        f"apply `{wanted}` first; where Keras has saved the model since, it dropped the history:"
        " `patchc adopt BEFORE AFTER -o OUT` carries it over"
    )


def _check_expect(context: Context) -> None:
    expect = context.patch.expect
    if expect is None:
        return
    for key, wanted in expect.values.items():
        found = _found(context, key)
        if not _holds(key, wanted, found):
            context.problem(
                "PC307",
                f"expected {key} {_text(wanted)}, found {_text(found)}",
                expect.spans[key],
                "use the model that the patch was written for, or change `expect`",
            )


def _found(context: Context, key: str) -> Any:
    root, graph = context.root, context.root.graph
    assert graph is not None
    match key:
        case "name":
            return root.name
        case "structure":
            return structure_hash(root)
        case "sha256":
            changed = bool(context.operations)
            return (
                "a model that earlier patches have changed" if changed else context.document.digest
            )
    ends = graph.inputs if key == "input_shape" else graph.outputs
    specs = [tensor.spec for _, tensor in named_ends(ends)]
    return [list(spec.shape) if spec is not None else None for spec in specs]


def _holds(key: str, wanted: Any, found: Any) -> bool:
    if key not in {"input_shape", "output_shape"}:
        return bool(wanted == found)
    shapes: list[Any]
    several = bool(wanted) and isinstance(wanted[0], (list, tuple))
    shapes = [list(shape) for shape in wanted] if several else [list(wanted)]
    return bool(shapes == found)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):
            return ", ".join(shape_text(shape) for shape in value)
        return shape_text(value)
    return str(value)
