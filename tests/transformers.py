"""Small transformers as people write them with Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

Norm = Callable[..., Any]

LENGTH, WORDS, WIDTH = 7, 11, 12
"""Steps, vocabulary and hidden size."""


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
    x = layers.Add(name="stream")([table(ids), layers.Embedding(LENGTH, WIDTH)(places)])
    if post:
        x = norm(name="first_norm")(x)
    for number in range(blocks):
        x = _branch(x, norm, f"block{number}_attend", _attention(number, causal), post=post)
        x = _branch(x, norm, f"block{number}_feed", _feed(number), post=post)
    if not post:
        x = norm(name="last_norm")(x)
    scores = table(x, reverse=True) if tied else layers.Dense(WORDS, name="head")(x)
    return keras.Model([ids, places], scores)


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
