"""Writing the result of a plan as an HDF5 file of the older kind, in the dialect of its base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.legacy.dialect import Dialect, RestoreError, version_of
from patchc.legacy.restore import Restorer
from patchc.storage.configuration import comparable
from patchc.storage.hdf5.tree import Attribute, Group
from patchc.storage.hdf5.writer import layout
from patchc.storage.history import recorded_in
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_write import (
    Made,
    Written,
    begun_history,
    end_history,
    write_weight,
)
from patchc.storage.older.recorded_state import put_state
from patchc.storage.older.recorded_tree import RecordedTree, layer_groups, origins_of
from patchc.storage.older.seen import Older, repaired_config
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Progress, Sink

FUNCTIONAL_SINCE = (2, 4)
"""Version from which on Keras calls models Functional: tf.keras 2.3."""
_CONFIG = "model_config"
_TRAINING = "training_config"


def write_recorded(
    source: KerasFile, plan: Plan, output: OutputFile, progress: Progress
) -> Written:
    """Write the whole result.

    Raises:
        PatchError: PC406 where the file's own format cannot say it.
    """
    tree = recorded_result(source, plan)
    history = begun_history(source, plan)
    place = layout(recorded_in(tree.root, history))
    made: Made = {}
    with Sink(output, progress, checksum=False) as sink:
        sink.write(place.metadata)
        for path, offset in place.offsets.items():
            sink.pad_to(offset)
            item = tree.held[path]
            if item.entry is not None:
                write_weight(source, plan, sink, item.entry, made)
            else:
                sink.copy(source.data, item.dataset.offset or 0, item.dataset.nbytes)
        sink.pad_to(place.size)
    end_history(source, output, place.metadata, history)
    return Written(made, tuple(sink.pieces))


def recorded_result(source: KerasFile, plan: Plan) -> RecordedTree:
    """Lay out the whole file.

    Raises:
        PatchError: PC406 where the file's own format cannot say it.
    """
    older = source.older
    assert older is not None
    try:
        attributes = _attributes(source, older, plan)
        tree = layer_groups(source, plan)
        put_state(tree, source, plan)
    except RestoreError as error:
        raise _refusal(source, str(error)) from None
    tree.root.attributes.update({**attributes, **tree.root.attributes})
    for name, member in older.root_group.members.items():
        if name not in tree.root.members and not _is_ours(name, older):
            tree.root.members[name] = _without_values(member)
    return tree


def _is_ours(name: str, older: Older) -> bool:
    """Whether a group of the base is one that this module lays out anew, or leaves out."""
    assert older.recorded is not None
    return bool(older.recorded.prefix == "" or name == "optimizer_weights")


def _without_values(member: Any) -> Any:
    """A group of another program stays as far as it holds no data."""
    if not isinstance(member, Group):
        raise TypeError("a dataset at the root of a model file")
    return Group({}, dict(member.attributes))


def _refusal(source: KerasFile, reason: str) -> PatchError:
    message = f"the result cannot be written in the format of the input: {reason}"
    help_text = "write it as .keras: `-o NAME.keras`"
    return PatchError(Diagnostic("PC406", message, file=source.file.path, help=help_text))


def _attributes(source: KerasFile, older: Older, plan: Plan) -> Mapping[str, Attribute]:
    """The file's own attributes, with the configuration of the result.

    Raises:
        RestoreError: the older dialect cannot say it, or would say something else.
    """
    assert older.recorded is not None
    attributes = dict(older.root_group.attributes)
    path = source.file.path
    if older.raw is None or comparable(plan.config, path) == comparable(source.config, path):
        return attributes
    if not older.recorded.prefix:
        raise RestoreError("the architecture changes too, which stands in a file of its own")
    restorer = Restorer(_dialect(older.recorded.keras_version), origins_of(plan.base))
    seen, wanted = source.config, plan.config
    config = restorer.model(older.raw, seen, wanted)
    training = older.recorded.training
    compiled = [side.get("compile_config") or {} for side in (seen, wanted)]
    if training is not None and compiled[0] != compiled[1]:
        training = restorer.training(training, *compiled)
        attributes[_TRAINING] = attributes[_TRAINING].with_strings([json.dumps(training)])
    again = repaired_config(config, training, older.recorded.keras_version, source.file.path)
    if comparable(again.config, source.file.path) != comparable(wanted, source.file.path):
        raise RestoreError("an older Keras has other words for it")
    attributes[_CONFIG] = attributes[_CONFIG].with_strings([json.dumps(config)])
    return attributes


def _dialect(keras_version: str) -> Dialect:
    version = version_of(keras_version)
    return Dialect(version, model="Functional" if version >= FUNCTIONAL_SINCE else "Model")
