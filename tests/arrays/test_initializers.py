import math
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.arrays import initializers
from patchc.arrays.bits import derive_key, uniforms
from patchc.arrays.dtypes import FLOATS, ValuesError, decode
from patchc.arrays.initializers import fans, initialise, stream_key, transform_of
from patchc.model.initializers import KERAS_INITIALIZERS
from patchc.model.values import ONES, ZEROS, Strategy

keras: Any = import_module("keras")
compute_fans: Any = import_module("keras.src.initializers.random_initializers").compute_fans

KEY = derive_key("initialisers")
SIDE = 200

RANDOM = [
    *(Strategy(name) for name, known in KERAS_INITIALIZERS.items() if "seed" in known),
    Strategy("RandomNormal", {"mean": 2.0, "stddev": 0.5}),
    Strategy("TruncatedNormal", {"mean": -1.0, "stddev": 3}),
    Strategy("RandomUniform", {"minval": -1.0, "maxval": 4.0}),
    Strategy("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    Strategy("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    Strategy("VarianceScaling", {"distribution": "Normal"}),
    Strategy("HeUniform", {"input_axes": [1], "output_axes": [0]}),
]


def of_keras(strategy: Strategy, shape: tuple[int, ...]) -> np.ndarray:
    config = {**strategy.arguments, **({"seed": 3} if strategy in RANDOM else {})}
    made = keras.initializers.get({"class_name": strategy.name, "config": config})
    return np.asarray(made(shape, "float32"), np.float64)


def greatest_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The two-sample statistic of Kolmogorov and Smirnov."""
    both = np.concatenate([one, other])
    counts = [np.searchsorted(np.sort(x), both, side="right") / len(x) for x in (one, other)]
    return float(np.abs(counts[0] - counts[1]).max())


@pytest.mark.parametrize("strategy", RANDOM, ids=lambda s: str(s.to_json()))
def test_values_are_distributed_as_those_of_keras(strategy: Strategy) -> None:
    shape = (SIDE // 2, SIDE * 2)
    mine = decode(initialise(strategy, shape, "float32", KEY), "float32").reshape(-1)
    keras_own = of_keras(strategy, shape).reshape(-1)
    size = len(mine)
    assert greatest_distance(mine, keras_own) < 1.95 * math.sqrt(2.0 / size)
    spread = keras_own.std()
    assert abs(mine.mean() - keras_own.mean()) < 6.0 * spread / math.sqrt(size)
    assert math.isclose(mine.std(), spread, rel_tol=0.02)


@pytest.mark.parametrize(
    ("strategy", "limit"),
    [
        (Strategy("GlorotUniform"), math.sqrt(6.0 / 400)),
        (Strategy("HeUniform"), math.sqrt(6.0 / 100)),
        (Strategy("RandomUniform"), 0.05),
        (Strategy("TruncatedNormal", {"stddev": 0.1}), 0.2),
        (Strategy("HeNormal"), 2.0 * math.sqrt(2.0 / 100) / 0.87962566103423978),
    ],
    ids=str,
)
def test_values_fill_their_range_and_stay_inside(strategy: Strategy, limit: float) -> None:
    values = initialise(strategy, (100, 300), "float64", KEY)
    assert 0.99 * limit < values.max() <= limit
    assert -limit <= values.min() < -0.99 * limit


axes = st.none() | st.lists(st.integers(-5, 4), max_size=3)


@given(shape=st.lists(st.integers(0, 9), max_size=5), inputs=axes, outputs=axes)
def test_fans_are_those_of_keras(
    shape: list[int], inputs: list[int] | None, outputs: list[int] | None
) -> None:
    try:
        expected = compute_fans(shape, inputs, outputs)
    except IndexError:
        with pytest.raises(ValuesError, match="lacks axes"):
            fans(tuple(shape), inputs, outputs)
        return
    assert fans(tuple(shape), inputs, outputs) == expected


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["RandomNormal", "GlorotUniform", "Orthogonal", "Identity"])
def test_a_value_is_rounded_once(name: str, dtype: str) -> None:
    exact = initialise(Strategy(name), (30, 20), "float64", KEY)
    stored = initialise(Strategy(name), (30, 20), dtype, KEY)
    relative = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24}.get(dtype, 0.0)
    least = 2.0**-25 if dtype == "float16" else 0.0
    error = np.abs(decode(stored, dtype) - exact)
    assert (error <= np.maximum(np.abs(exact) * relative, least)).all()


@settings(max_examples=30)
@given(start=st.integers(0, 5000), count=st.integers(1, 50), index=st.integers(0, len(RANDOM) - 1))
def test_entries_can_be_made_one_by_one(start: int, count: int, index: int) -> None:
    strategy = RANDOM[index]
    transform = transform_of(strategy, (101, 50))
    if transform is None:
        assert strategy.name == "Orthogonal"
        return
    part = transform(uniforms(stream_key(strategy, KEY), count, start))
    np.testing.assert_array_equal(part, whole(index)[start : start + count])


@cache
def whole(index: int) -> np.ndarray:
    return initialise(RANDOM[index], (101, 50), "float64", KEY).reshape(-1)


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = initialise(Strategy("HeNormal"), (31, 17), "float32", KEY)
    monkeypatch.setattr(initializers, "CHUNK", 10)
    np.testing.assert_array_equal(
        initialise(Strategy("HeNormal"), (31, 17), "float32", KEY), values
    )


def test_keys_and_seeds_make_other_values() -> None:
    def first(seed: int | None, key: bytes) -> float:
        strategy = Strategy("RandomNormal", {"seed": seed})
        return float(initialise(strategy, (1,), "float64", key)[0])

    other = derive_key("other")
    values = [first(None, KEY), first(1, KEY), first(2, KEY), first(None, other), first(1, other)]
    assert len(set(values)) == 5
    assert first(None, KEY) == float(initialise(Strategy("RandomNormal"), (1,), "float64", KEY)[0])


def test_a_stored_seed_generator_counts_as_a_seed() -> None:
    seed = {"class_name": "SeedGenerator", "config": {"seed": 5}}
    values = initialise(Strategy("RandomNormal", {"seed": seed}), (3,), "float32", KEY)
    assert values.shape == (3,)


# --------------------------------------------------------------------- constants


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "int32", "float16", "float64"])
def test_zeros_and_ones_of_any_dtype(dtype: str) -> None:
    for strategy, value in ((ZEROS, 0), (ONES, 1), (Strategy("Constant", {"value": 1}), 1)):
        made = initialise(strategy, (2, 3), dtype, KEY)
        assert made.dtype == np.dtype(dtype)
        assert (made == value).all()
        assert made.shape == (2, 3)


def test_scalars_and_empty_weights() -> None:
    assert initialise(ONES, (), "float32", KEY).item() == 1.0
    assert initialise(Strategy("GlorotUniform"), (), "float32", KEY).shape == ()
    assert initialise(Strategy("GlorotUniform"), (0, 3), "float32", KEY).shape == (0, 3)
    assert initialise(Strategy("Orthogonal"), (3, 0), "float32", KEY).shape == (3, 0)


def test_a_bfloat16_constant_is_stored_as_its_bits() -> None:
    made = initialise(Strategy("Constant", {"value": -1.0}), (2,), "bfloat16", KEY)
    assert made.tobytes() == b"\x80\xbf" * 2


# ------------------------------------------------------------- orthogonal, identity


@pytest.mark.parametrize(
    "shape", [(5, 5), (40, 7), (7, 40), (3, 3, 4, 8), (2, 2, 2, 50), (1, 1), (300, 290)]
)
def test_orthogonal(shape: tuple[int, ...]) -> None:
    made = initialise(Strategy("Orthogonal", {"gain": 2.0}), shape, "float64", KEY)
    assert made.shape == shape
    flat = made.reshape(-1, shape[-1])
    if flat.shape[0] < flat.shape[1]:
        flat = flat.T
    np.testing.assert_allclose(flat.T @ flat, 4.0 * np.eye(flat.shape[1]), atol=1e-13)


def test_orthogonal_matrices_have_no_preferred_direction() -> None:
    made = np.stack(
        [
            initialise(Strategy("Orthogonal"), (3, 3), "float64", derive_key(str(i)))
            for i in range(2000)
        ]
    )
    assert np.abs(made.mean(0)).max() < 0.06
    assert np.abs((made**2).mean(0) - 1.0 / 3.0).max() < 0.04
    assert np.abs((made**4).mean(0) - 1.0 / 5.0).max() < 0.04
    assert 0.45 < (np.linalg.det(made) > 0.0).mean() < 0.55


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_identity_is_that_of_keras(shape: tuple[int, int]) -> None:
    strategy = Strategy("Identity", {"gain": 0.5})
    made = initialise(strategy, shape, "float32", KEY)
    np.testing.assert_array_equal(made, of_keras(strategy, shape))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_dirac_hands_the_input_on(size: int) -> None:
    x = np.random.default_rng(1).normal(size=(1, 9, 6)).astype(np.float32)
    kernel = initialise(Strategy("dirac"), (size, 6, 6), "float32", KEY)
    y = keras.ops.conv(x, kernel, padding="same")
    np.testing.assert_array_equal(np.asarray(y), x)


def test_dirac_of_groups_and_in_two_dimensions() -> None:
    x = np.random.default_rng(1).normal(size=(1, 5, 4, 6)).astype(np.float32)
    for shape in ((3, 2, 6, 6), (1, 5, 3, 6)):
        layer = keras.layers.Conv2D(
            6, shape[:2], padding="same", groups=6 // shape[2], use_bias=False
        )
        layer.build(x.shape)
        layer.set_weights([initialise(Strategy("dirac"), shape, "float32", KEY)])
        np.testing.assert_array_equal(np.asarray(layer(x)), x)


def test_dirac_depthwise_hands_the_input_on() -> None:
    x = np.random.default_rng(1).normal(size=(1, 5, 4, 6)).astype(np.float32)
    kernel = initialise(Strategy("dirac_depthwise"), (3, 2, 6, 1), "float32", KEY)
    y = keras.ops.depthwise_conv(x, kernel, padding="same")
    np.testing.assert_array_equal(np.asarray(y), x)


# ------------------------------------------------------------------------- blocks


def test_blocks_are_the_biases_of_an_lstm() -> None:
    blocks = Strategy("Blocks", {"axis": 0, "blocks": ["Zeros", "Ones", "Zeros", "Zeros"]})
    layer = keras.layers.LSTM(3)
    layer.build((None, 2, 5))
    made = initialise(blocks, (12,), "float32", KEY)
    np.testing.assert_array_equal(made, np.asarray(layer.cell.bias))


def test_blocks_have_values_and_fans_of_their_own() -> None:
    strategy = {"HeUniform": {"seed": 1}}
    blocks = Strategy(
        "Blocks", {"axis": 1, "blocks": [strategy, strategy, {"Constant": {"value": 2}}]}
    )
    made = initialise(blocks, (50, 30), "float64", KEY)
    limit = math.sqrt(6.0 / 50)
    assert (np.abs(made[:, :20]) <= limit).all()
    assert not np.intersect1d(made[:, :10], made[:, 10:20]).size
    assert (made[:, 20:] == 2.0).all()


# --------------------------------------------------------------------------- stft


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize(
    "window", ["hann", "hamming", "blackman", "nuttall", "blackmanharris", "boxcar", None]
)
def test_stft_is_that_of_keras(window: Any, scaling: Any, periodic: bool) -> None:
    for side, shape in (("real", (16, 1, 9)), ("imag", (20, 1, 17)), ("real", (1, 1, 2))):
        if shape[0] == 1 and not (periodic and window == "boxcar"):
            continue
        arguments = {"side": side, "window": window, "scaling": scaling, "periodic": periodic}
        strategy = Strategy("STFT", arguments)
        made = initialise(strategy, shape, "float32", KEY)
        np.testing.assert_allclose(made, of_keras(strategy, shape), atol=2e-5)


def test_stft_with_a_window_of_numbers() -> None:
    strategy = Strategy("STFT", {"window": [0.5, 1.0, 1.0, 0.25]})
    made = initialise(strategy, (4, 1, 5), "float32", KEY)
    np.testing.assert_allclose(made, of_keras(strategy, (4, 1, 5)), atol=1e-6)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("strategy", "shape", "dtype", "message"),
    [
        (Strategy("mean"), (2,), "float32", "`mean`, which makes no values of its own"),
        (Strategy("Glorot"), (2,), "float32", "cannot be filled by `Glorot`"),
        (Strategy("HeNormal", {"scale": 2}), (2, 2), "float32", "`HeNormal` takes no `scale`"),
        (Strategy("Zeros", {"x": 2}), (2, 2), "float32", "`Zeros` takes no `x`"),
        (Strategy("Constant", {"value": [1]}), (1,), "float32", "takes a number"),
        (Strategy("RandomNormal", {"stddev": "1"}), (1,), "float32", "finite number, got '1'"),
        (Strategy("RandomNormal", {"mean": math.nan}), (1,), "float32", "finite number, got nan"),
        (Strategy("RandomUniform", {"minval": 1.0}), (1,), "float32", "above `maxval`"),
        (Strategy("VarianceScaling", {"scale": 0.0}), (1,), "float32", "`scale` must be positive"),
        (Strategy("VarianceScaling", {"mode": ["fan"]}), (1,), "float32", "`mode` must be one of"),
        (Strategy("VarianceScaling", {"distribution": "x"}), (1,), "float32", "`distribution` 'x'"),
        (Strategy("HeNormal", {"input_axes": [5], "output_axes": [0]}), (2,), "float32", "lacks"),
        (Strategy("Orthogonal"), (4,), "float32", "needs two or more axes"),
        (Strategy("Identity"), (4, 4, 4), "float32", "needs two axes"),
        (Strategy("dirac"), (3, 4, 6), "float32", "hands its input on"),
        (Strategy("dirac"), (4, 4), "float32", "hands its input on"),
        (Strategy("dirac_depthwise"), (3, 4, 2), "float32", "is an identity"),
        (Strategy("STFT"), (4, 2, 5), "float32", "`STFT` needs"),
        (Strategy("STFT", {"window": "tukey"}), (4, 1, 5), "float32", "patchc knows boxcar, hann"),
        (Strategy("STFT", {"side": "left"}), (4, 1, 5), "float32", "of side 'left'"),
        (Strategy("GlorotUniform"), (4, 4), "int32", "dtype int32, which holds no fractions"),
        (Strategy("GlorotUniform"), (4, 4), "string", "of which patchc makes no values"),
        (Strategy("Identity"), (4, 4), "int32", "which holds no fractions"),
        (Strategy("RandomNormal", {"stddev": 1e6}), (9,), "float16", "beyond the range of float16"),
        (Strategy("Blocks", {"blocks": ["Zeros"] * 4}), (6,), "float32", "no 4 equal blocks"),
        (Strategy("Blocks", {"axis": 1, "blocks": ["Ones"]}), (6,), "float32", "along axis 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals(strategy: Strategy, shape: tuple[int, ...], dtype: str, message: str) -> None:
    with pytest.raises(ValuesError, match=message):
        initialise(strategy, shape, dtype, KEY)
