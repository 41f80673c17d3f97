"""What `inspect` prints, held against golden files."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchc.inspect import inspect_file
from patchc.report.model_text import inspection_text
from tests.report.test_plan_text import assert_golden


def test_a_flat_model(desk: Path) -> None:
    text = inspection_text(inspect_file("small.keras"))
    (written,) = [line for line in text.splitlines() if "written by Keras" in line]
    assert_golden("inspect-small", text.replace(written, "HEADER"))


def test_a_nested_model(desk: Path) -> None:
    text = inspection_text(inspect_file("two.keras"))
    assert_golden("inspect-two", "\n".join(text.splitlines()[2:]))


@pytest.mark.parametrize(
    ("name", "select"),
    [("class", "{class: Conv2D, last: 2}"), ("block", "{block: {from: conv2, to: pool}}")],
)
def test_a_selector_shows_what_it_picks_and_why_not_the_rest(
    desk: Path, name: str, select: str
) -> None:
    assert_golden(f"inspect-two-{name}", inspection_text(inspect_file("two.keras", select)))
