"""Growing an axis anywhere leaves what the model computes; Keras is the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import patchc

Build = Callable[[Any], Any]
DENSE = "expand: {by: 2}"


def _attend(x: Any, query: str, other: str) -> Any:
    q, k = layers.Dense(6, name=query)(x), layers.Dense(7, name=other)(x)
    return layers.MultiHeadAttention(2, 3)(q, k)


def _skip(x: Any, branch: Callable[[Any], Any]) -> Any:
    stream = layers.Dense(6, name="t")(x)
    return layers.Add()([stream, branch(stream)])


def _dense(x: Any) -> Any:
    return layers.Dense(6, name="t")(x)


def _conv(x: Any) -> Any:
    return layers.Conv2D(4, 3, name="t")(x)


SEQUENCE: dict[str, Build] = {
    "read by lstm": lambda x: layers.LSTM(4)(_dense(x)),
    "time distributed": lambda x: layers.TimeDistributed(layers.Dense(6), name="t")(x),
    "read by time distributed": lambda x: layers.TimeDistributed(layers.Dense(6))(_dense(x)),
    "heads": lambda x: layers.MultiHeadAttention(2, 3, value_dim=4, name="t")(x, x),
    "query of attention": lambda x: _attend(x, "t", "k"),
    "key and value of attention": lambda x: _attend(x, "q", "t"),
    "stream of attention": lambda x: _skip(x, lambda s: layers.MultiHeadAttention(2, 3)(s, s)),
    "residual": lambda x: _skip(x, lambda s: layers.Dense(6)(layers.Dense(3)(s))),
    "gate": lambda x: (lambda h: h * layers.Dense(6, activation="sigmoid")(h))(_dense(x)),
    "maximum": lambda x: layers.Maximum()([_dense(x), layers.Dense(6)(x)]),
    "einsum": lambda x: layers.EinsumDense("abc,cd->abd", (6, 6), name="t", bias_axes="d")(x),
    "spectral": lambda x: layers.SpectralNormalization(layers.Dense(6), name="t")(x),
    "concatenate": lambda x: layers.Concatenate()([x, _dense(x), layers.Dense(3)(x)]),
    "concatenate time": lambda x: layers.Concatenate(axis=1)([_dense(x), layers.Dense(6)(x)]),
    "repeat": lambda x: layers.LSTM(4)(layers.RepeatVector(3)(layers.Flatten()(_dense(x)))),
    "noise": lambda x: layers.GaussianNoise(0.1)(layers.SpatialDropout1D(0.2)(_dense(x))),
    "operations": lambda x: ops.relu(_dense(x)) * 2.0 + 1.0,
    "shared": lambda x: (lambda shared: layers.Subtract()([shared(x), shared(ops.relu(x))]))(
        layers.Dense(6, name="t")
    ),
}
IMAGE: dict[str, Build] = {
    "flatten": lambda x: layers.Flatten()(_conv(x)),
    "norm and pool": lambda x: layers.Flatten()(
        layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(_conv(x))))
    ),
    "separable": lambda x: layers.Flatten()(layers.SeparableConv2D(4, 3, name="t")(x)),
    "read by separable": lambda x: layers.Flatten()(
        layers.SeparableConv2D(6, 3, depth_multiplier=2)(_conv(x))
    ),
    "depthwise": lambda x: layers.Flatten()(
        layers.DepthwiseConv2D(3, depth_multiplier=2)(_conv(x))
    ),
    "transposed": lambda x: layers.Flatten()(layers.Conv2DTranspose(4, 3, name="t")(x)),
    "read by transposed": lambda x: layers.Flatten()(layers.Conv2DTranspose(6, 3)(_conv(x))),
    "prelu": lambda x: layers.Flatten()(layers.PReLU()(_conv(x))),
    "pad and upsample": lambda x: layers.Flatten()(
        layers.ZeroPadding2D(1)(layers.UpSampling2D()(_conv(x)))
    ),
    "squeeze and excite": lambda x: (
        lambda h: layers.Flatten()(
            h
            * layers.Dense(4, activation="sigmoid")(
                layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(h))
            )
        )
    )(_conv(x)),
    "dense block": lambda x: (
        lambda h: layers.Flatten()(layers.Concatenate()([h, layers.Conv2D(2, 1)(h)]))
    )(_conv(x)),
}
EXACT = {name: (keras.Input, (6, 5), build) for name, build in SEQUENCE.items()} | {
    name: (keras.Input, (8, 8, 3), build) for name, build in IMAGE.items()
}


def _saved(shape: tuple[int, ...], build: Build, folder: Path) -> tuple[Any, Path]:
    """A model whose weights are all alive, and where it was saved."""
    keras.utils.set_random_seed(3)
    given = keras.Input(shape)
    model = keras.Model(given, layers.Dense(4, name="out")(build(given)))
    rng = np.random.default_rng(1)
    for variable in model.weights:
        low, high = (0.5, 1.5) if "variance" in variable.path else (-0.4, 0.6)
        variable.assign(rng.uniform(low, high, variable.shape))
    path = folder / "before.keras"
    model.save(path)
    return model, path


def _patch(verb: str) -> Any:
    return patchc.loads(f"patchc: 1\nid: wider\nedits:\n  - select: t\n    {verb}\n")


@pytest.mark.parametrize("name", EXACT)
def test_outputs_stay_when_an_axis_grows(name: str, tmp_path: Path) -> None:
    _, shape, build = EXACT[name]
    model, path = _saved(shape, build, tmp_path)
    report = patchc.apply(path, _patch(DENSE), tmp_path / "after.keras")
    grown = keras.models.load_model(tmp_path / "after.keras")
    given = np.random.default_rng(2).normal(size=(2, *shape)).astype("float32")
    before, after = (keras.ops.convert_to_numpy(m(given)) for m in (model, grown))
    assert report.to_dict()["params"]["after"] == grown.count_params() > model.count_params()
    np.testing.assert_allclose(after, before, atol=2e-6 * np.abs(before).max(), rtol=0)


@pytest.mark.parametrize("name", EXACT)
def test_growing_and_shrinking_gives_back_the_weights(name: str, tmp_path: Path) -> None:
    _, shape, build = EXACT[name]
    _, path = _saved(shape, build, tmp_path)
    axis = "num_heads" if name == "heads" else None
    special = {"heads": 2, "key and value of attention": 7}
    size = special.get(name, 4 if name in IMAGE else 6)
    where = f", axis: {axis}" if axis else ""
    patchc.apply(path, _patch(f"expand: {{by: 2{where}}}"), tmp_path / "wide.keras")
    back = f"shrink: {{drop: [{size}, {size + 1}]{where}}}"
    patchc.apply(tmp_path / "wide.keras", _patch(back), tmp_path / "back.keras", again=True)
    before, after = (
        {
            (layer.name, number): values
            for layer in keras.models.load_model(p).layers
            for number, values in enumerate(layer.get_weights())
        }
        for p in (path, tmp_path / "back.keras")
    )
    assert before.keys() == after.keys()
    for key, values in before.items():
        assert values.tobytes() == after[key].tobytes(), key


REFUSED: dict[str, tuple[tuple[int, ...], Build, str, str]] = {
    "softmax": ((6, 5), lambda x: layers.Softmax()(_dense(x)), DENSE, "depend on one another"),
    "own softmax": ((6, 5), lambda x: layers.Dense(6, activation="softmax", name="t")(x),
                    DENSE, "depend on one another"),
    "groups": ((8, 8, 3), lambda x: layers.Flatten()(layers.Conv2D(4, 3, groups=2)(_conv(x))),
               "expand: {by: 3}", "2 groups of 2"),
    "mixing reshape": ((6, 5), lambda x: layers.Reshape((6, 2, 3))(_dense(x)),
                       "expand: {by: 1}", "regroups"),
    "largest": ((6, 5), lambda x: ops.max(_dense(x), axis=-1, keepdims=True), DENSE, "makes one"),
    "masking": ((6, 5), lambda x: layers.Masking(1.0)(_dense(x)), DENSE, "depend on one another"),
    "code of its own": ((6, 5), lambda x: layers.Lambda(lambda h: h * 2.0)(_dense(x)),
                        DENSE, "runs code of its own"),
    "images": ((8, 8, 3), lambda x: layers.Flatten()(layers.RandomInvert()(
        layers.Conv2D(3, 3, name="t")(x))), DENSE, "prepares or augments images"),
    "logarithm": ((6, 5), lambda x: ops.log(ops.exp(_dense(x))), DENSE, "no number"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_follow_is_refused_by_name(name: str, tmp_path: Path) -> None:
    shape, build, verb, words = REFUSED[name]
    _, path = _saved(shape, build, tmp_path)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(path, _patch(verb))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code in {"PC306", "PC310"}
    assert words in diagnostic.message
    assert diagnostic.help


def test_groups_grow_alike(tmp_path: Path) -> None:
    build: Build = lambda x: layers.Flatten()(layers.Conv2D(4, 3, groups=2)(_conv(x)))
    model, path = _saved((8, 8, 3), build, tmp_path)
    patchc.apply(path, _patch("expand: {by: 2, at: [2, 4]}"), tmp_path / "after.keras")
    grown = keras.models.load_model(tmp_path / "after.keras")
    given = np.random.default_rng(2).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(grown(given), model(given), atol=1e-5)


def test_matches_that_share_an_axis_grow_it_once(tmp_path: Path) -> None:
    build: Build = lambda x: _skip(x, lambda s: layers.Dense(6, name="t2")(s))
    _, path = _saved((6, 5), build, tmp_path)
    patch = patchc.loads("patchc: 1\nid: wider\nedits:\n  - select: [t, t2]\n    count: 2\n"
                         "    expand: {by: 3}\n")  # fmt: skip
    plan = patchc.plan(path, patch)
    sizes = {e.path: e.shape for e in plan.ledger.entries}
    assert sizes["t/kernel"] == (5, 9)
    assert sizes["t2/kernel"] == (9, 9)


def test_the_bound_on_new_classes_holds(tmp_path: Path) -> None:
    given = keras.Input((5,))
    model = keras.Model(given, layers.Dense(6, activation="softmax", name="t")(given))
    model.save(tmp_path / "before.keras")
    verb = "expand: {by: 3, max_prob_shift: 1.0e-3}"
    patchc.apply(tmp_path / "before.keras", _patch(verb), tmp_path / "after.keras")
    grown = keras.models.load_model(tmp_path / "after.keras")
    inputs = 30 * np.random.default_rng(0).normal(size=(500, 5)).astype("float32")
    taken = keras.ops.convert_to_numpy(grown(inputs))[:, 6:].sum(axis=1)
    assert 0 < taken.max() <= 1e-3
