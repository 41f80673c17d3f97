"""Save a model of `keras.applications` with untrained weights: NAME PATH."""

from __future__ import annotations

import sys

import keras


def main(name: str, path: str) -> None:
    getattr(keras.applications, name)(weights=None).save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
