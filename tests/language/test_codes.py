from __future__ import annotations

import re
from pathlib import Path

import patchc
from patchc.codes import CODES

PACKAGE = Path(patchc.__file__).parent


def test_codes_are_sorted_and_well_formed() -> None:
    assert list(CODES) == sorted(CODES)
    for name, code in CODES.items():
        assert re.fullmatch(r"PC[0-59]\d\d", name)
        assert code.title
        assert not code.title.endswith(".")
        assert "Example: " in code.explanation
        assert all(len(line) <= 100 for line in code.explanation.split("\n"))


def test_every_code_that_the_language_gives_is_explained() -> None:
    text = "".join(path.read_text("utf-8") for path in (PACKAGE / "language").glob("*.py"))
    used = set(re.findall(r"\bPC\d{3}\b", text))
    assert used
    assert used <= set(CODES)
