"""`expect`: what must hold of the model before anything is done."""

from __future__ import annotations

from typing import Any

from patchc.compiler.context import Context, shape_text
from patchc.compiler.select import named_ends
from patchc.model.document import structure_hash


def check_expectations(context: Context) -> None:
    """Hold the model, as earlier patches left it, against `expect`.

    Raises:
        PatchError: PC307 for everything that does not hold.
    """
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
    context.raise_problems()


def _found(context: Context, key: str) -> Any:
    root, graph = context.root, context.root.graph
    assert graph is not None
    match key:
        case "name":
            return root.name
        case "structure":
            return structure_hash(root)
        case "sha256":
            return context.document.digest
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
