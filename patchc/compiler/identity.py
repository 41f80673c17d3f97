"""Identity: filling what `insert_*` adds so that the model's function stays."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.context import Context
from patchc.compiler.fill import fill_identity, fill_zero_branch
from patchc.language.patch import CopyOf, Element, LayerSpec
from patchc.model.graph import Layer, Tensor


def fill_inserted(context: Context, chain: Sequence[Element], made: Sequence[Layer]) -> None:
    """Fill inserted layers with `init: identity`.

    A layer becomes its own identity; a `residual` branch, or each branch of a
    copied block, adds nothing.

    Args:
        made: the new layers in the order of the chain.

    Raises:
        PatchError: PC305 where a layer or branch cannot be made an identity.
    """
    remaining = list(made)
    for element in chain:
        if isinstance(element, LayerSpec):
            fill_identity(context, [remaining.pop(0)])
        elif isinstance(element, CopyOf):
            silence_branches(context, remaining)
            return
        else:
            add = _next_add(remaining, element)
            fill_zero_branch(context, remaining[: remaining.index(add)])
            del remaining[: remaining.index(add) + 1]


def _next_add(remaining: Sequence[Layer], element: Element) -> Layer:
    depth = _length(element)
    return remaining[depth - 1]


def _length(element: Element) -> int:
    """Number of layers that an element makes."""
    inner = getattr(element, "chain", ())
    return 1 + sum(_length(item) for item in inner) if inner else 1


def silence_branches(context: Context, copied: Sequence[Layer]) -> None:
    """Make a copied residual block an identity: every branch that is added is zero.

    Raises:
        PatchError: PC305 where the block is no chain of residual additions.
    """
    members = set(copied)
    exit_ = _exit(copied)
    while exit_ in members:
        if exit_.class_name != "Add":
            context.refuse(
                "PC305",
                f"the copied block ends in `{exit_.path}` ({exit_.class_name}),"
                " not in an addition: it has no identity",
                help="choose bounds at residual additions, or leave `init: identity` out",
            )
        skip, branch = _skip_and_branch(exit_, members)
        fill_zero_branch(context, branch)
        exit_ = skip.layer


def _exit(copied: Sequence[Layer]) -> Layer:
    read = {tensor.layer for layer in copied for call in layer.calls for tensor in call.tensors()}
    return next(layer for layer in copied if layer not in read)


def _skip_and_branch(add: Layer, members: set[Layer]) -> tuple[Tensor, list[Layer]]:
    """Which input of an addition is the stream, and the layers of the other one."""
    tensors = add.calls[0].tensors()
    behind = [_upstream(tensor, members) for tensor in tensors]
    order = sorted(range(len(tensors)), key=lambda i: len(behind[i]))
    skip = tensors[order[0]]
    branch = behind[order[-1]]
    return skip, branch


def _upstream(tensor: Tensor, members: set[Layer]) -> list[Layer]:
    """The layer that makes a tensor and what leads to it, sources first."""
    found: list[Layer] = []
    pending = [tensor.layer]
    while pending:
        layer = pending.pop(0)
        if layer in members and layer not in found:
            found.insert(0, layer)
            pending += [t.layer for call in layer.calls for t in call.tensors()]
    return found
