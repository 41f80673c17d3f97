"""`rename`: another name, in every connection and in output-keyed losses."""

from __future__ import annotations

from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import Rename


def rename(context: Context, verb: Rename, match: Match) -> None:
    """Rename a layer; connections hold the layer itself, so they follow.

    Raises:
        PatchError: PC304 for a name that is taken or that Keras refuses.
    """
    if isinstance(match, Block):
        context.refuse("PC301", "a block has no name", help="select one layer")
    if match.name == verb.name:
        return
    context.check_name(verb.name, context.edit.verb_span)
    before = match.path
    match.name = verb.name
    match.config = {**match.config, "name": verb.name}
    context.log("rename", before, before, match.path)
    settle(context)
