"""Growing and shrinking an axis through operations of `keras.ops`; Keras is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import patchc
from tests.acceptance.widening import with_head
from tests.patterns import IMAGE, PATTERNS, Build, on_image, shuffle


def _gate(x: Any) -> Any:
    value, gate = ops.split(x, 2, axis=-1)
    return value * ops.sigmoid(gate)


def _attend(x: Any) -> Any:
    """Attention written by hand over the positions of the second axis."""
    q, k, v = x, layers.Dense(8)(x), layers.Dense(8, name="value")(x)
    scores = ops.softmax(ops.matmul(q, ops.swapaxes(k, -1, -2)), axis=-1)
    return ops.matmul(scores, v)


def _batch(x: Any) -> Any:
    """With a known number of samples."""
    return ops.reshape(x, (2, *x.shape[1:]))


# From the tensor that grows, (batch, 4, 4, 8), to one that is read, and by how much it grows; 0
# stands for the layer `value`.
FOLLOWS: dict[str, tuple[Build, int]] = {
    **PATTERNS,
    "channel shuffle in four": (lambda x: shuffle(x, 4), 4),
    "space to depth": (lambda x: ops.space_to_depth(x, 2), 3),
    "gate by hand": (_gate, 4),
    "transpose": (lambda x: layers.Dense(3)(ops.transpose(x, (0, 3, 1, 2))), 3),
    "reverse": (lambda x: ops.flip(x, axis=-1), 3),
    "roll": (lambda x: ops.roll(x, 3, axis=-1), 3),
    "roll elsewhere": (lambda x: ops.roll(x, -1, axis=1), 3),
    "tile": (lambda x: ops.tile(x, (1, 1, 1, 2)), 3),
    "repeat": (lambda x: ops.repeat(x, 2, axis=-1), 3),
    "first channels": (lambda x: x[..., :5], 3),
    "last channels": (lambda x: x[..., -5:], 3),
    "middle channels": (lambda x: x[..., 2:6], 3),
    "first position": (lambda x: x[:, 0], 3),
    "one channel": (lambda x: x[..., 3], 3),
    "one channel from the end": (lambda x: x[..., -2, None], 3),
    "backwards": (lambda x: x[..., ::-1], 3),
    "every second channel": (lambda x: x[..., ::2], 2),
    "new axis": (lambda x: x[:, None, ..., 1:], 3),
    "take": (lambda x: ops.take(x, [1, 0, 5, 5], axis=-1), 3),
    "take one": (lambda x: ops.take(x, 2, axis=-1), 3),
    "slice": (lambda x: ops.slice(_batch(x), (0, 1, 0, 2), (2, 3, 4, 6)), 3),
    "split in places": (lambda x: ops.concatenate(ops.split(x, [3, 5], axis=-1)[1:], -1), 3),
    "split in parts": (lambda x: ops.concatenate(ops.split(x, 4, axis=-1)[::-1], -1), 3),
    "split elsewhere": (lambda x: ops.stack(ops.split(x, 2, axis=1), 1), 3),
    "array split": (lambda x: ops.array_split(x, 2, axis=-1)[1], 4),
    "unstack elsewhere": (lambda x: ops.add(*ops.unstack(x, axis=1)[:2]), 3),
    "stack": (lambda x: ops.stack([x, x * 2.0], axis=-2), 3),
    "append": (lambda x: ops.append(x, x, axis=-1), 3),
    "horizontal and vertical": (lambda x: ops.hstack([x, ops.flip(x, 1)]), 3),
    "swap and move": (lambda x: ops.moveaxis(ops.swapaxes(x, 1, 3), 1, -1), 3),
    "squeeze and expand": (lambda x: ops.squeeze(ops.expand_dims(x, (1, -1)), -1), 3),
    "rearrange": (lambda x: ops.rearrange(_batch(x), "b (h p) w c -> b h w (p c)", p=2), 3),
    "rearrange heads": (lambda x: ops.rearrange(_batch(x), "b h w (n d) -> b n (h w) d", n=2), 4),
    "rearrange heads, told both": (
        lambda x: ops.rearrange(_batch(x), "b h w (n d) -> b n (h w) d", n=2, d=4), 4
    ),
    "broadcast": (lambda x: x + ops.broadcast_to(
        ops.mean(_batch(x), (1, 2), keepdims=True), (2, 4, 4, 8)), 3),
    "mean over positions": (lambda x: ops.mean(x, axis=(1, 2)), 3),
    "maximum over positions": (lambda x: ops.max(x, axis=1, keepdims=True) * x, 3),
    "variance and moments": (lambda x: ops.moments(x, (1, 2))[1] + ops.var(x, (1, 2)), 3),
    "softmax over positions": (lambda x: ops.softmax(x, axis=1), 3),
    "cumulated positions": (lambda x: ops.cumsum(x, axis=2), 3),
    "values of attention": (_attend, 0),
    "einsum": (lambda x: ops.einsum("bhwc,bhvc->bhwvc", x, x), 3),
    "positions against positions": (
        lambda x: ops.einsum("bhwc,bhwd->bcd", layers.Dense(3)(x), x), 3
    ),
    "matmul": (lambda x: ops.matmul(layers.Dense(4)(ops.ones_like(x[..., :4])), x), 3),
    "pool": (lambda x: ops.max_pool(x, 2) + ops.average_pool(x, 2, padding="same"), 3),
    "resize": (lambda x: ops.image.resize(x, (6, 6)), 3),
    "constant": (lambda x: x * np.arange(8, dtype="float32") + ops.ones((4, 8)), 3),
    "divided by a constant": (lambda x: (x - 0.5) / np.arange(1, 9, dtype="float32"), 3),
    "choice": (lambda x: ops.where(x > 0.1, x, 0.5), 3),
    "cast": (lambda x: ops.cast(ops.cast(x, "float16"), "float32"), 3),
    "square": (lambda x: ops.power(x, 2), 3),
    "normalise elsewhere": (lambda x: ops.normalize(x, axis=1), 3),
    "pad elsewhere": (lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 0], [0, 0]], "reflect"), 3),
    "pad": (lambda x: ops.pad(x, [[0, 0], [0, 0], [0, 0], [2, 1]]), 3),
    "ravel": (lambda x: ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 128)), 3),
}  # fmt: skip


def _model(build: Build) -> Any:
    return with_head(IMAGE, on_image(build))


def _patch(verb: str, layer: str = "t") -> Any:
    return patchc.loads(f"patchc: 1\nid: {verb[:6]}\nedits:\n  - select: {layer}\n    {verb}\n")


def _outputs(model: Any) -> Any:
    given = np.random.default_rng(2).normal(size=(2, 4, 4, 3)).astype("float32")
    return keras.ops.convert_to_numpy(model(given))


@pytest.mark.parametrize("name", FOLLOWS)
def test_operations_follow(name: str, tmp_path: Path) -> None:
    build, by = FOLLOWS[name]
    model = _model(build)
    model.save(tmp_path / "before.keras")
    verb = f"expand: {{by: {by or 3}}}\n    init: {{kernel: he_normal, bias: ones}}"
    where = "t" if by else "value"
    patchc.apply(tmp_path / "before.keras", _patch(verb, where), tmp_path / "after.keras")
    after = keras.models.load_model(tmp_path / "after.keras")
    before = _outputs(model)
    assert after.count_params() > model.count_params()
    np.testing.assert_allclose(_outputs(after), before, atol=3e-6 * np.abs(before).max(), rtol=0)


def _grown_map(path: Path, patch: Any, layer: str) -> list[int]:
    """The places of new entries along the grown axis of a layer's kernel."""
    plan = patchc.plan(path, patch)
    entry = next(e for e in plan.ledger.entries if e.path == f"{layer}/kernel")
    (growth,) = entry.value.growths
    return [place for place, old in enumerate(growth.map.indices()) if old == -1]


@pytest.mark.parametrize("name", FOLLOWS)
def test_shrinking_takes_back_what_growing_told(name: str, tmp_path: Path) -> None:
    """Weights bit for bit, and every number that an operation was told."""
    build, by = FOLLOWS[name]
    model = _model(build)
    base = tmp_path / "before.keras"
    model.save(base)
    where = "t" if by else "value"
    wider = _patch(f"expand: {{by: {by or 3}}}", where)
    new = _grown_map(base, wider, where)
    patchc.apply(base, wider, tmp_path / "wide.keras")
    patchc.apply(tmp_path / "wide.keras", _patch(f"shrink: {{drop: {new}}}", where),
                 tmp_path / "back.keras")  # fmt: skip
    back = keras.models.load_model(tmp_path / "back.keras")
    for one, other in zip(model.weights, back.weights, strict=True):
        assert one.path == other.path
        assert np.array_equal(one, other)
    np.testing.assert_allclose(_outputs(back), _outputs(model), atol=1e-5)
