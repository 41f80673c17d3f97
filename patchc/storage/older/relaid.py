"""Relaid: weights that an older Keras laid out in another way, turned while the file is opened.

They are the only weights that a conversion does not copy byte by byte.  They
are held in memory, and stand behind the end of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.storage.hdf5.tree import Dataset, dataset
from patchc.storage.older.optimizer import StateError
from patchc.storage.older.recorded import Recorded
from patchc.storage.stream import Readable

_NAME = re.compile(r"(?:.*?[/_])?(W|U|b|recurrent_kernel|kernel|bias)(_[a-z])?(?:_\d+)?(?::\d+)?")
_WORDS = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
_CONVOLUTIONS = frozenset({"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"})

Put = Callable[[Dataset, bytes], Dataset]
"""Keeps values in memory; returns their dataset with its offset."""


def relaid(
    recorded: Recorded, layouts: Mapping[str, str], data: Readable, put: Put, path: str
) -> Recorded:
    """A recorded file with its weights laid out as today.

    Args:
        layouts: old layout by path of the layer.
        data: the file's bytes.
        put: keeps values in memory.
        path: of the file, for messages.

    Raises:
        PatchError: PC405 where a layer's weights cannot be turned.
    """
    layers = dict(recorded.layers)
    for layer, layout in layouts.items():
        held = layers.get(layer)
        if held is None:
            raise _refusal(layer, "it stands inside another layer", path)
        if held:
            layers[layer] = _turned(layer, layout, held, data, put, path)
    return replace(recorded, layers=layers)


def relaid_slots(
    held: Mapping[str, Dataset], layer: str, layout: str, data: Readable, put: Put, path: str
) -> dict[str, Dataset]:
    """One slot of an optimizer for each weight of a layer, laid out as the weights are.

    Args:
        held: by recorded names of the weights.

    Raises:
        StateError: no slot of today's weights says what these say.
        PatchError: PC405 where they cannot be turned.
    """
    if layout in _SUMS:
        raise StateError(f"`{layer}` had two biases that are one now, which moves half as fast")
    return _turned(layer, layout, held, data, put, path)


_SUMS = frozenset({"CuDNNLSTM"})
"""Layouts in which two weights become their sum."""


def _turned(
    layer: str, layout: str, held: Mapping[str, Dataset], data: Readable, put: Put, path: str
) -> dict[str, Dataset]:
    # NumPy is imported only where weights have to be turned
    import numpy as np  # noqa: PLC0415

    from patchc.arrays.old_layouts import LAYOUTS, LayoutError  # noqa: PLC0415

    arrays = {}
    for name, stored in held.items():
        found = _NAME.fullmatch(name)
        if found is None or not stored.dtype_name.startswith("float"):
            raise _refusal(layer, f"what `{name}` holds is not known", path)
        raw = bytearray(stored.nbytes)
        data.read_into(raw, stored.offset or 0)
        own = f"{_WORDS.get(found[1], found[1])}{found[2] or ''}"
        little_endian = np.dtype(stored.dtype_name).newbyteorder("<")
        arrays[own] = np.frombuffer(raw, little_endian).reshape(stored.shape)
    try:
        turned = LAYOUTS[layout](arrays)
    except (LayoutError, KeyError, ValueError) as error:
        raise _refusal(layer, str(error) or "they do not fit", path) from None
    return {
        f"{layer}/{name}": put(dataset(array.shape, array.dtype.name), array.tobytes())
        for name, array in turned.items()
    }


def theano_layouts(recorded: Recorded, classes: Mapping[str, str]) -> dict[str, str]:
    """The layers whose kernels Theano mirrored, in a file of Keras 2 that says so.

    Args:
        classes: class of each layer, by path.
    """
    if recorded.backend != "theano" or not recorded.keras_version.startswith("2"):
        return {}
    return {path: "Theano" for path, name in classes.items() if name in _CONVOLUTIONS}


def _refusal(layer: str, reason: str, path: str) -> PatchError:
    message = f"the weights of `{layer}` are laid out in the way of an older Keras: {reason}"
    help_text = "load the file with Keras 2, and save it again"
    return PatchError(Diagnostic("PC405", message, file=path, help=help_text))
