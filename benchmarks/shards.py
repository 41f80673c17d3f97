"""What people do with sharded weights in Keras. BASE OUT.weights.json.

Of a model it writes the weights in shards, and the architecture beside them;
of sharded weights the same, with new values in the head.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras

SHARD = 0.4
"""Gigabytes."""


def main(base: str, out: str) -> None:
    """Write sharded weights."""
    if not base.endswith(".weights.json"):
        model = keras.models.load_model(base, compile=False)
        Path(out.replace(".weights.json", ".json")).write_text(model.to_json())
    else:
        told = Path(base.replace(".weights.json", ".json")).read_text()
        model = keras.models.model_from_json(told)
        model.load_weights(base)
        head = model.layers[-1]
        head.kernel.assign(keras.initializers.GlorotUniform(seed=1)(head.kernel.shape))
        head.bias.assign(keras.ops.zeros(head.bias.shape))
    model.save_weights(out, max_shard_size=SHARD)


if __name__ == "__main__":
    main(*sys.argv[1:])
