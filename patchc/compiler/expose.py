"""Expose: a tensor inside a nested model becomes one that the root can use."""

from __future__ import annotations

from typing import Any

from patchc.compiler.build import redirect
from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.model.graph import Tensor, flatten


def selected_tensor(context: Context, match: Match, call: int | None) -> Tensor:
    """What the selected layer makes, in call number `call` where it has several.

    Raises:
        PatchError: PC301 where `call` is missing, or there is no such call.
    """
    if isinstance(match, Block):
        return match.exit
    count = len(match.calls)
    if call is None and count > 1:
        context.refuse(
            "PC301",
            f"`{match.path}` is called {count} times",
            help=f"say which with `call: 0` ... `call: {count - 1}`",
        )
    if call is not None and not 0 <= call < count:
        context.refuse(
            "PC301",
            f"`{match.path}` has no call {call}: it is called {count} times",
            help="calls are counted from 0",
        )
    return Tensor(match.calls[call or 0])


def exposed(context: Context, tensor: Tensor) -> Tensor:
    """The same tensor as seen from the root.

    On the way out each nested model gets it as a further output.

    Raises:
        PatchError: PC301 where a nested model on the way is called several times.
    """
    home = tensor.layer.home
    assert home is not None
    owner = home.owner
    if owner is context.root:
        return tensor
    if len(owner.calls) != 1:
        context.refuse(
            "PC301",
            f"`{tensor.layer.path}` lies in `{owner.path}`, which is called"
            f" {len(owner.calls)} times",
            help="select the nested model itself",
        )
    before = flatten(home.outputs)
    if tensor not in before:
        home.outputs = _with(home.outputs, tensor)
    after = flatten(home.outputs)
    call = owner.calls[0]
    graph = owner.home
    assert graph is not None
    moved = {Tensor(call, i): Tensor(call, after.index(t)) for i, t in enumerate(before)}
    redirect(graph, {old: new for old, new in moved.items() if old != new})
    if len(after) != len(before):
        call.outputs = None
    return exposed(context, Tensor(call, after.index(tensor)))


def _with(outputs: Any, tensor: Tensor) -> Any:
    if isinstance(outputs, dict):
        return {**outputs, tensor.layer.name: tensor}
    if isinstance(outputs, list):
        return [*outputs, tensor]
    return [outputs, tensor]
