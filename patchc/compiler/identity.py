"""Identity: filling what `insert_*` adds so that the model's function stays."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.build import Made
from patchc.compiler.context import Context
from patchc.compiler.fill import fill_identity, fill_zero_branch, hands_on_zero
from patchc.language.patch import LayerSpec, Residual
from patchc.model.graph import Layer, Tensor


def fill_inserted(context: Context, made: Sequence[Made]) -> None:
    """Fill inserted layers with `init: identity`.

    A layer becomes its own identity; a `residual` branch, or each branch of a
    copied block, adds nothing.

    Args:
        made: what the chain became.

    Raises:
        PatchError: PC305 where a layer or branch cannot be made an identity.
    """
    for one in made:
        if isinstance(one.element, LayerSpec):
            fill_identity(context, one.layers)
        elif isinstance(one.element, Residual):
            _silence(context, one.inside)
        else:
            silence_branches(context, one.layers)


def _silence(context: Context, chain: Sequence[Made]) -> None:
    """Fill a chain so that nothing but zeros comes out of it.

    A `residual` in it gives zeros where its branch and what it is added to do.

    Raises:
        PatchError: PC305 where no layer of it can be made silent.
    """
    waiting: list[Layer] = []
    for one in reversed(chain):
        if isinstance(one.element, Residual):
            _silence(context, one.inside)
            continue
        waiting = [*one.layers, *waiting]
        if all(hands_on_zero(layer) for layer in one.layers):
            continue
        fill_zero_branch(context, waiting)
        return
    fill_zero_branch(context, waiting or chain[-1].layers)


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
