import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.arrays import assemble as room
from patchc.arrays.assemble import assemble
from patchc.arrays.bits import derive_key
from patchc.arrays.dtypes import ValuesError, decode, encode, storage_dtype
from patchc.arrays.initializers import initialise
from patchc.model.axis import NEW, AxisMap
from patchc.model.values import ONES, ZEROS, Growth, Strategy

KEY = derive_key("assemble")
GLOROT = Strategy("GlorotUniform")
MEAN, SAMPLE, COPY = Strategy("mean"), Strategy("sample"), Strategy("copy")

DTYPES = {
    "float16": "f2",
    "float32": "f4",
    "float64": "f8",
    "bfloat16": "u2",
    "int32": "i4",
    "bool": "?",
    "uint8": "u1",
}


def growth(axis: int, entries: list[int], fill: Strategy = ZEROS, blocks: int = 1) -> Growth:
    return Growth(axis, AxisMap.of(entries), fill, blocks)


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.dtype.itemsize}")


def taken(old: np.ndarray, growths: list[Growth]) -> np.ndarray:
    """What is kept of `old`, by `np.take`."""
    for change in growths:
        kept = [i for i in change.map.indices() if i != NEW]
        old = np.take(old, kept, change.axis)
    return old


def mesh(shape: tuple[int, ...], growths: list[Growth]) -> tuple[np.ndarray, ...]:
    """Indices of the kept entries in the result."""
    indices = [np.arange(size) for size in shape]
    for change in growths:
        indices[change.axis] = np.flatnonzero(np.array(change.map.indices()) != NEW)
    return np.ix_(*indices)


@st.composite
def weights(draw: st.DrawFn) -> tuple[np.ndarray, str]:
    """A weight of any bits: NaNs with payloads, negative zeros, subnormals."""
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    stored = np.dtype(DTYPES[dtype])
    if dtype == "bfloat16" and draw(st.booleans()):
        stored = np.dtype("V2")
    elif dtype.startswith("float") and draw(st.booleans()):
        stored = stored.newbyteorder(">")
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    data = draw(st.binary(min_size=(n := math.prod(shape) * stored.itemsize), max_size=n))
    if dtype == "bool":
        data = bytes(byte % 2 for byte in data)
    return np.frombuffer(data, stored).reshape(shape), dtype


@st.composite
def changes(draw: st.DrawFn, shape: tuple[int, ...], fills: list[Strategy]) -> list[Growth]:
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    result = []
    for axis in axes:
        entries = st.integers(NEW, shape[axis] - 1)
        indices = [draw(st.integers(0, shape[axis] - 1)), *draw(st.lists(entries, max_size=6))]
        result.append(growth(axis, draw(st.permutations(indices)), draw(st.sampled_from(fills))))
    return result


@given(weight=weights(), data=st.data())
def test_kept_entries_keep_their_bits(weight: tuple[np.ndarray, str], data: st.DataObject) -> None:
    old, dtype = weight
    fills = [ZEROS, ONES, COPY]
    if dtype.startswith("float") or dtype == "bfloat16":
        fills += [GLOROT, Strategy("RandomNormal"), Strategy("Constant", {"value": -4.6})]
    growths = data.draw(changes(old.shape, fills))
    new = assemble(old, growths, dtype, KEY)
    assert new.dtype == old.dtype
    sizes = {change.axis: change.map.size for change in growths}
    assert new.shape == tuple(sizes.get(axis, n) for axis, n in enumerate(old.shape))
    kept = bits(new)[mesh(new.shape, growths)]
    np.testing.assert_array_equal(kept, taken(bits(old), growths))


@given(weight=weights(), data=st.data())
def test_new_entries_follow_the_first_growth_that_makes_them(
    weight: tuple[np.ndarray, str], data: st.DataObject
) -> None:
    old, dtype = weight
    fills = [ZEROS, ONES]
    if dtype.startswith("float") or dtype == "bfloat16":
        fills += [GLOROT, Strategy("HeNormal", {"seed": 1}), Strategy("TruncatedNormal")]
    growths = data.draw(changes(old.shape, fills))
    new = assemble(old, growths, dtype, KEY)
    native = new.view(storage_dtype(dtype)) if dtype == "bfloat16" else new
    open_ = np.ones(new.shape, bool)
    for change in growths:
        is_new = np.array(change.map.indices()) == NEW
        region = open_ & np.moveaxis(
            np.broadcast_to(is_new, _moved(new, change.axis)), -1, change.axis
        )
        expected = initialise(change.fill, new.shape, dtype, KEY)
        np.testing.assert_array_equal(native[region], expected[region])
        open_ &= ~region


def _moved(array: np.ndarray, axis: int) -> tuple[int, ...]:
    return (*array.shape[:axis], *array.shape[axis + 1 :], array.shape[axis])


def test_values_that_hang_together_are_those_of_the_new_shape() -> None:
    old = np.zeros((6, 4), "f4")
    for fill in (Strategy("Orthogonal"), Strategy("Identity", {"gain": 2.0})):
        new = assemble(old, [growth(1, [0, NEW, 1, 2, 3, NEW], fill)], "float32", KEY)
        expected = initialise(fill, (6, 6), "float32", KEY)
        np.testing.assert_array_equal(new[:, [1, 5]], expected[:, [1, 5]])


def test_no_change_is_a_copy() -> None:
    old = np.arange(4.0)
    new = assemble(old, [], "float64", KEY)
    assert new is not old
    np.testing.assert_array_equal(new, old)


def test_pure_selection_needs_no_known_dtype() -> None:
    old = np.arange(8, dtype="u1").view("V1")
    new = assemble(old, [growth(0, [7, 0, 0])], "float8_e4m3fn", KEY)
    assert new.tobytes() == b"\x07\x00\x00"
    wide = np.arange(6.0).view("c16")
    np.testing.assert_array_equal(
        assemble(wide, [growth(0, [2, 1])], "complex128", KEY), wide[[2, 1]]
    )


def test_an_axis_may_lose_all_entries() -> None:
    new = assemble(np.ones((2, 3), "f4"), [growth(0, [])], "float32", KEY)
    assert new.shape == (0, 3)
    assert assemble(np.ones((0, 3), "f4"), [growth(1, [0, NEW], MEAN)], "float32", KEY).shape == (
        0,
        2,
    )


def test_a_weight_that_is_no_contiguous_array() -> None:
    old = np.arange(12, dtype="f4").reshape(3, 4).T
    new = assemble(old, [growth(0, [3, NEW, 0], ONES)], "float32", KEY)
    np.testing.assert_array_equal(new, [old[3], np.ones(3), old[0]])


# --------------------------------------------------------------- mean, sample, copy


@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), st.sampled_from(["f2", "f4", "f8"])
)
def test_mean_is_the_exact_mean_rounded_once(entries: list[int], stored: str) -> None:
    old = np.array([entries, entries[::-1]], stored).T
    dtype = {"f2": "float16", "f4": "float32", "f8": "float64"}[stored]
    new = assemble(old, [growth(0, [*range(len(entries)), NEW, NEW], MEAN)], dtype, KEY)
    exact = float(Fraction(sum(entries), len(entries)))
    expected = encode(np.array([exact]), dtype)[0]
    np.testing.assert_array_equal(new[-2:], np.full((2, 2), expected))


def test_mean_of_bfloat16() -> None:
    old = encode(np.array([[1.0, 2.0, 4.0], [-1.0, 1.0, 0.5]]), "bfloat16")
    new = assemble(old, [growth(1, [0, 1, 2, NEW], MEAN)], "bfloat16", KEY)
    expected = encode(np.array([7.0 / 3.0, 1.0 / 6.0]), "bfloat16")
    np.testing.assert_array_equal(new[:, 3], expected)


def test_mean_is_taken_of_what_is_kept_and_within_its_block() -> None:
    old = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 900.0], "f4")
    entries = [1, NEW, 0, NEW, 2, 2, 5, NEW, 5]
    new = assemble(old, [growth(0, entries, MEAN, blocks=3)], "float32", KEY)
    assert new.tolist() == [3.0, 2.0, 1.0, 10.0, 10.0, 10.0, 900.0, 900.0, 900.0]


def test_mean_over_what_a_later_growth_made() -> None:
    old = np.array([[1.0, 3.0], [5.0, 7.0]], "f8")
    growths = [growth(0, [0, 1, NEW], MEAN), growth(1, [0, 1, NEW], ONES)]
    new = assemble(old, growths, "float64", KEY)
    assert new.tolist() == [[1.0, 3.0, 1.0], [5.0, 7.0, 1.0], [3.0, 5.0, 1.0]]
    new = assemble(old, growths[::-1], "float64", KEY)
    assert new.tolist() == [[1.0, 3.0, 1.0], [5.0, 7.0, 1.0], [3.0, 5.0, 1.0]]
    growths = [growth(0, [0, 1, NEW], MEAN), growth(1, [0, 1, NEW], COPY)]
    new = assemble(old, growths, "float64", KEY)
    assert new.tolist() == [[1.0, 3.0, 1.0], [5.0, 7.0, 5.0], [3.0, 5.0, 3.0]]


def test_infinite_entries_have_an_infinite_mean_without_a_warning() -> None:
    old = np.array([[np.inf, np.nan, np.inf], [1.0, 1.0, -np.inf]], "f4")
    new = assemble(old, [growth(0, [0, 1, NEW], MEAN)], "float32", KEY)
    np.testing.assert_array_equal(new[2], [np.inf, np.nan, np.nan])
    new = assemble(old, [growth(0, [0, 1, NEW], SAMPLE)], "float32", KEY)
    assert np.isnan(new[2]).all()


def test_sample_has_mean_and_spread_of_each_position_and_block() -> None:
    old = np.array([[1.0, -5.0], [3.0, -5.0], [10.0, 0.0], [30.0, 4.0]], "f8")
    count = 20_000
    entries = [0, 1, *[NEW] * count, 2, 3, *[NEW] * count]
    new = assemble(old, [growth(0, entries, SAMPLE, blocks=2)], "float64", KEY)
    for rows, position, mean, spread in (
        (slice(2, 2 + count), 0, 2.0, 1.0),
        (slice(2, 2 + count), 1, -5.0, 0.0),
        (slice(4 + count, None), 0, 20.0, 10.0),
        (slice(4 + count, None), 1, 2.0, 2.0),
    ):
        values = new[rows, position]
        assert abs(values.mean() - mean) <= 4.0 * spread / math.sqrt(count)
        assert math.isclose(values.std(), spread, rel_tol=0.02)
        assert spread == 0.0 or 0.3 < (np.abs(values - mean) > spread).mean() < 0.335


@pytest.mark.parametrize(
    ("fill", "copied"),
    [
        (COPY, [0, 1, 2, 0, 3, 4, 5, 3]),
        (Strategy("copy", {"index": 1}), [1, 1, 1, 1, 4, 4, 4, 4]),
    ],
)
def test_copy_within_blocks(fill: Strategy, copied: list[int]) -> None:
    old = np.array([np.nan, -0.0, 1.0, 2.0, 3.0, 4.0], "f2")
    entries = [0, 1, 2, *[NEW] * 4, 3, 4, 5, *[NEW] * 4]
    new = assemble(old, [growth(0, entries, fill, blocks=2)], "float16", KEY)
    new_places = [i for i, entry in enumerate(entries) if entry == NEW]
    np.testing.assert_array_equal(bits(new)[new_places], bits(old)[copied])


def test_copy_works_on_any_dtype() -> None:
    new = assemble(np.array([4, 5], "i8"), [growth(0, [0, NEW, 1], COPY)], "int64", KEY)
    assert new.tolist() == [4, 4, 5]


# --------------------------------------------------------------------------- order


def test_a_second_growth_of_an_axis_begins_anew() -> None:
    old = np.array([1.0, 3.0])
    growths = [
        growth(0, [0, 1, NEW], ONES),
        growth(0, [NEW, 0, 1, 2], Strategy("copy", {"index": 2})),
    ]
    assert assemble(old, growths, "float64", KEY).tolist() == [1.0, 1.0, 3.0, 1.0]


def test_two_growths_of_an_axis_have_values_of_their_own() -> None:
    normal = Strategy("RandomNormal")
    growths = [
        growth(0, [NEW, NEW, NEW, 0], normal),
        growth(0, [NEW, NEW, NEW, 0, 1, 2, 3], normal),
    ]
    new = assemble(np.zeros(1), growths, "float64", KEY)
    assert len(set(new.tolist())) == 7


@pytest.mark.parametrize("fill", [GLOROT, SAMPLE, MEAN, Strategy("HeNormal")])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch, axis: int, fill: Strategy) -> None:
    old = initialise(Strategy("RandomNormal"), (5, 6, 7), "float32", KEY)
    size = old.shape[axis]
    entries = [NEW, *range(size), NEW, NEW]
    whole = assemble(old, [growth(axis, entries, fill)], "float32", KEY)
    for chunk in (1, 3, 20, 100):
        monkeypatch.setattr(room, "CHUNK", chunk)
        pieces = assemble(old, [growth(axis, entries, fill)], "float32", KEY)
        np.testing.assert_array_equal(pieces, whole)


def test_sums_longer_than_one_piece() -> None:
    rows = 5000
    old = np.arange(rows, dtype="f8")
    new = assemble(old, [growth(0, [*range(rows), NEW], MEAN)], "float64", KEY)
    assert new[-1] == (rows - 1) / 2
    doubled = [growth(0, [*range(rows), *[NEW] * rows], SAMPLE)]
    spread = assemble(old, doubled, "float64", KEY)[rows:].std()
    assert math.isclose(spread, rows / math.sqrt(12.0), rel_tol=0.05)


def test_rows_at_the_end_of_a_large_table_are_made_alone() -> None:
    rows, width = 3000, 256
    old = np.zeros((rows, width), "f4")
    new = assemble(old, [growth(0, [*range(rows), NEW, NEW], GLOROT)], "float32", KEY)
    expected = initialise(GLOROT, (rows + 2, width), "float32", KEY)
    np.testing.assert_array_equal(new[rows:], expected[rows:])


# ------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("change", "dtype", "message"),
    [
        (growth(2, [0]), "float32", "no axis 2"),
        (growth(-1, [0]), "float32", "no axis -1"),
        (growth(0, [0, 4]), "float32", "fewer entries on axis 0 than are kept"),
        (Growth(0, AxisMap(((-7, 2),)), ZEROS), "float32", "fewer entries"),
        (growth(0, [0, 1, NEW], MEAN, blocks=2), "float32", "not 2 equal blocks"),
        (growth(0, [NEW, NEW], MEAN), "float32", "keeps no entry on axis 0 for `mean`"),
        (
            growth(0, [0, 1, NEW, NEW], SAMPLE, blocks=2),
            "float32",
            "no entry on axis 0 for `sample`",
        ),
        (growth(0, [0, NEW], Strategy("copy", {"index": 1})), "float32", "has 1 entries .* no 1"),
        (growth(0, [0, NEW], Strategy("copy", {"index": -1})), "float32", "got -1"),
        (growth(0, [0, NEW], Strategy("copy", {"i": 1})), "float32", "`copy` takes the index"),
        (growth(0, [0, NEW], Strategy("default")), "float32", "cannot be filled by `default`"),
        (growth(0, [0, NEW], ONES), "float64", "is stored as float32, and not as float64"),
        (growth(0, [0, NEW], ONES), "bfloat16", "is stored as float32, and not as bfloat16"),
    ],
)
def test_refusals(change: Growth, dtype: str, message: str) -> None:
    with pytest.raises(ValuesError, match=message):
        assemble(np.zeros((4, 3), "f4"), [change], dtype, KEY)


@pytest.mark.parametrize("fill", [MEAN, SAMPLE])
def test_whole_numbers_have_no_mean(fill: Strategy) -> None:
    with pytest.raises(ValuesError, match="has dtype int32, of which no mean"):
        assemble(np.zeros(2, "i4"), [growth(0, [0, 1, NEW], fill)], "int32", KEY)


def test_the_decoded_kept_entries_are_unchanged() -> None:
    old: Any = encode(np.array([1.5, -2.0]), "bfloat16")
    new = assemble(old.view("V2"), [growth(0, [0, NEW, 1], ONES)], "bfloat16", KEY)
    assert decode(new.view(np.uint16), "bfloat16").tolist() == [1.5, 1.0, -2.0]
