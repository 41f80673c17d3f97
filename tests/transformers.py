"""Small transformers as people write them with Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

Norm = Callable[..., Any]

LENGTH, WORDS, WIDTH = 7, 11, 12
"""Steps, vocabulary and hidden size."""

KINDS: dict[str, dict[str, Any]] = {
    "gpt": {},
    "gpt tied": {"tied": True},
    "gpt rms": {"norm": layers.RMSNormalization},
    "gpt rms tied": {"norm": layers.RMSNormalization, "tied": True},
    "bert": {"post": True, "causal": False},
    "bert tied": {"post": True, "causal": False, "tied": True},
}
"""Name -> arguments of `transformer`."""

AXES = {
    "width": ("words", "output_dim", 5),
    "width twice": ("words", "output_dim", WIDTH),
    "feed-forward": ("wide0", "units", 5),
    "heads": ("attention0", "num_heads", 1),
    "key size": ("attention0", "key_dim", 3),
    "value size": ("attention1", "value_dim", 2),
    "vocabulary": ("words", "input_dim", 2),
    "scores": ("head", "units", 2),
    "positions": ("positions", "input_dim", 3),
}
"""Every axis of a transformer: a layer that has it, what it calls it, and by how much it grows."""

DEPTH = """insert_after: {copy_of: {block: {from: block1_attend_norm, to: block1_feed_add}}}
    init: identity"""
EDITS = {
    name: (layer, f"expand: {{by: {by}, axis: {axis}}}") for name, (layer, axis, by) in AXES.items()
} | {"depth": ("block1_feed_add", DEPTH)}
"""Every dimension of a transformer: the layer to select, and the verb that changes it."""

REFUSED = {
    ("bert", "width"): ("LayerNormalization", f"to: {2 * WIDTH}"),
    ("bert tied", "width"): ("LayerNormalization", f"to: {2 * WIDTH}"),
    ("bert", "depth"): ("identity", "residual additions"),
    ("bert tied", "depth"): ("identity", "residual additions"),
}
"""What cannot be with a normalisation behind each addition: what is said, and the way out."""


def transformer(
    norm: Norm = layers.LayerNormalization,
    *,
    post: bool = False,
    tied: bool = False,
    causal: bool = True,
    blocks: int = 2,
) -> Any:
    """A language model: learned positions, attention and feed-forward in residual blocks.

    Args:
        post: normalises behind each addition, as BERT does, and not inside the branch.
        tied: scores words with the table that embeds them.
    """
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    places = keras.Input((LENGTH,), dtype="int32", name="places")
    words = layers.ReversibleEmbedding if tied else layers.Embedding
    table = words(WORDS, WIDTH, name="words")
    x = layers.Add(name="stream")(
        [table(ids), layers.Embedding(LENGTH, WIDTH, name="positions")(places)]
    )
    if post:
        x = norm(name="first_norm")(x)
    for number in range(blocks):
        x = _branch(x, norm, f"block{number}_attend", _attention(number, causal), post=post)
        x = _branch(x, norm, f"block{number}_feed", _feed(number), post=post)
    if not post:
        x = norm(name="last_norm")(x)
    scores = table(x, reverse=True) if tied else layers.Dense(WORDS, name="head")(x)
    return keras.Model([ids, places], scores)


def dimensions(kind: str) -> list[str]:
    """Those of `EDITS` that a kind has: where the table is tied, scores are its vocabulary."""
    return [name for name in EDITS if name != "scores" or not KINDS[kind].get("tied")]


def together(kind: str) -> list[tuple[str, str]]:
    """The edits of all dimensions that a kind can grow at once.

    The width grows to twice its size where it cannot grow otherwise.
    """
    free = [name for name in dimensions(kind) if (kind, name) not in REFUSED]
    if "width" in free:
        free.remove("width twice")
    return [EDITS[name] for name in free]


def _branch(x: Any, norm: Norm, name: str, inner: Callable[[Any], Any], *, post: bool) -> Any:
    made = inner(x if post else norm(name=f"{name}_norm")(x))
    made = layers.Dropout(0.1)(made)
    added = layers.Add(name=f"{name}_add")([x, made])
    return norm(name=f"{name}_norm")(added) if post else added


def _attention(number: int, causal: bool) -> Callable[[Any], Any]:
    layer = layers.MultiHeadAttention(3, 4, value_dim=5, name=f"attention{number}")
    return lambda x: layer(x, x, use_causal_mask=causal)


def _feed(number: int) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        wide = layers.Dense(20, activation="gelu", name=f"wide{number}")(x)
        return layers.Dense(WIDTH, name=f"narrow{number}")(wide)

    return apply
