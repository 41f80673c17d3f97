"""Vocabularies in files, as Keras reads and writes them."""

from __future__ import annotations

import pytest

from patchc.model.vocabulary import lines_of, with_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n[UNK]\na", ["", "[UNK]", "a"]),
        (b"a\nb\n\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        ("é\nb".encode(), ["é", "b"]),
    ],
)
def test_further_lines_stand_behind_the_others(data: bytes, lines: list[str]) -> None:
    assert lines_of(data) == lines
    assert lines_of(with_lines(data, ["tent", "ö"])) == [*(lines or [""]), "tent", "ö"]
