"""Formats: what kind of model file something is, told by its content and never by its name."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from enum import Enum
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.storage.archive import read_archive
from patchc.storage.files import InputFile, sniff
from patchc.storage.hdf5.tree import Group
from patchc.storage.jsontext import parse_json

MAX_JSON = 256 << 20
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_SAVE = "save the model with Keras: `model.save('model.keras')`"


class Format(Enum):
    """A kind of model file."""

    KERAS = "a .keras archive"
    KERAS_2 = "a .keras archive of Keras 2"
    FOLDER = "an unzipped .keras archive"
    MODEL = "an HDF5 model"
    WEIGHTS = "HDF5 weights of an older Keras"
    KERAS_WEIGHTS = "weights of Keras 3"
    SHARDED = "sharded weights"


ARCHIVES = (Format.KERAS, Format.KERAS_2)
"""Formats with a place for a history."""

_FOREIGN: tuple[tuple[str, str, str], ...] = (
    (
        "/data.pkl",
        "a PyTorch file",
        "patchc patches Keras models; load it with PyTorch, and build the Keras model from it",
    ),
    (
        "saved_model.pb",
        "a zipped TensorFlow SavedModel",
        (
            "unzip it and load it with the TensorFlow that wrote it; then "
            "`tf.keras.models.load_model(...)` and `model.save('model.h5')`"
        ),
    ),
    (".npy", "an archive of NumPy arrays (.npz)", _SAVE),
)
"""End of a member's name -> what the archive is, and what to do."""


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether this is a folder that holds what a `.keras` archive holds."""
    name = os.fspath(path)
    with suppress(OSError, ValueError):
        return os.path.isdir(name) and os.path.isfile(os.path.join(name, "config.json"))
    return False


def container_of(file: InputFile) -> str:
    """`zip`, `hdf5` or `json`: what the file is on the outside.

    Raises:
        PatchError: PC402 for anything else, with what it is and what to do.
    """
    first = file.read_at(0, min(file.size, 512))
    if first[:4] in _ZIPS:
        return "zip"
    if first[:8] == _HDF5:
        return "hdf5"
    if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return "json"
    if _has_user_block(file):
        return "hdf5"
    raise foreign(file, first)


def _has_user_block(file: InputFile) -> bool:
    """Whether an HDF5 file begins behind other data, which the strict reader names."""
    at = 512
    while at + 8 <= file.size and at <= 1 << 20:
        if file.read_at(at, 8) == _HDF5:
            return True
        at *= 2
    return False


def foreign(file: InputFile, first: bytes) -> PatchError:
    """The refusal of a file that is no Keras model."""
    kind = sniff(first)
    message = f"this is {kind}, not a Keras model"
    return PatchError(Diagnostic("PC402", message, file=file.path, help=_way_out(kind)))


def _way_out(kind: str) -> str:
    for word, text in _WAYS_OUT.items():
        if word in kind:
            return text
    return "name a .keras, .h5 or .weights.h5 file of Keras"


_WAYS_OUT = {
    "git-lfs": "fetch the file itself: `git lfs pull`",
    "web page": "the download gave a page and not the file: fetch the file itself",
    "empty file": "get the complete file again",
    "PyTorch": _FOREIGN[0][2],
    "SavedModel": "name the folder's Keras file, or load it with the TensorFlow that wrote it "
    "and save it as .keras or .h5",
    "protobuf": "patchc patches Keras models; " + _SAVE,
    "safetensors": "it holds weights without a Keras model; " + _SAVE,
    "Lite": "a .tflite file is compiled and cannot be patched; name the Keras model it was made of",
    "gzip": "unpack it first",
    "bzip2": "unpack it first",
    "xz file": "unpack it first",
    "7-zip": "unpack it first",
    "tar archive": "unpack it first",
}


def check_zip_is_keras(file: InputFile) -> None:
    """Refuse zip archives of other programs by name, before their insides are looked at.

    Raises:
        PatchError: PC402, saying what the archive is.
    """
    names = [member.name for member in read_archive(file).members]
    if "config.json" in names:
        return
    inner = next((name for name in names if name.endswith("/config.json")), None)
    if inner is not None:
        folder = inner.rpartition("/")[0]
        message = f"the model lies in the folder `{folder}` of the archive, where Keras is blind"
        way_out = f"zip the files of `{folder}` again, without the folder itself"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=way_out))
    for end, kind, way_out in _FOREIGN:
        if any(name.endswith(end) for name in names):
            message = f"this is {kind}, not a Keras model"
            raise PatchError(Diagnostic("PC402", message, file=file.path, help=way_out))


def hdf5_format(tree: Group) -> Format | None:
    """Which of Keras's HDF5 layouts a tree has; None where it has none of them."""
    if "model_config" in tree.attributes or "model_weights" in tree.members:
        return Format.MODEL
    if any(name in tree.attributes for name in ("layer_names", "layer_names0")):
        return Format.WEIGHTS
    names = {name.partition("\\")[0] for name in tree.members}  # paths, where Windows wrote it
    if names & {"layers", "_layer_checkpoint_dependencies"} or (
        isinstance(tree.members.get("vars"), Group)
    ):
        return Format.KERAS_WEIGHTS
    return None


def read_json_file(file: InputFile) -> Any:
    """The content of a JSON file.

    Raises:
        PatchError: PC404 where it is no JSON.
    """
    if file.size > MAX_JSON:
        raise _no_json(file, f"it has more than {MAX_JSON} bytes")
    try:
        return parse_json(file.read_at(0, file.size))
    except ValueError as error:
        raise _no_json(file, str(error)) from None


def _no_json(file: InputFile, reason: str) -> PatchError:
    message = f"the JSON text cannot be read: {reason}"
    return PatchError(Diagnostic("PC404", message, file=file.path, help=_SAVE))


def embedded_json(text: str, what: str, path: str) -> Any:
    """JSON that an HDF5 file keeps in an attribute.

    Raises:
        PatchError: PC404 where it is no JSON.
    """
    try:
        return parse_json(text.encode())
    except (ValueError, json.JSONDecodeError) as error:
        message = f"`{what}` cannot be read: {error}"
        raise PatchError(
            Diagnostic("PC404", message, file=path, help="get an undamaged copy of the file")
        ) from None
