"""Diagnostics as people see them."""

from patchc.errors import Diagnostic, Source, Span
from patchc.report.paint import Paint
from patchc.report.source import brief, counts, full, one

TEXT = "patchc: 1\nedits:\n  - select: predicitons\n    freeze: true\n"


def at(line: int, column: int, end: int, text: str = TEXT, end_line: int | None = None) -> Span:
    return Span(Source("p.yaml", text), line, column, end_line or line, end)


def test_a_diagnostic_shows_its_place_and_the_way_out() -> None:
    found = Diagnostic("PC201", "no layer has this name", at(3, 13, 24), "did you mean `it`?")
    assert one(found) == (
        "PC201 no layer has this name\n"
        " --> p.yaml:3:13\n"
        "  |\n"
        "2 | edits:\n"
        "3 |   - select: predicitons\n"
        "  |             ^^^^^^^^^^^\n"
        "  |\n"
        "help: did you mean `it`?"
    )


def test_the_gutter_grows_with_the_line_number() -> None:
    text = "\n" * 99 + "x: y"
    lines = one(Diagnostic("PC101", "m", at(100, 1, 2, text))).split("\n")
    assert lines[1:4] == ["   --> p.yaml:100:1", "    |", "100 | x: y"]


def test_of_a_span_over_lines_the_first_is_marked() -> None:
    lines = one(Diagnostic("PC101", "m", at(2, 1, 5, end_line=4))).split("\n")
    assert lines[4:6] == ["2 | edits:", "  | ^^^^^^"]


def test_an_empty_place_gets_one_caret() -> None:
    lines = one(Diagnostic("PC101", "m", at(2, 7, 7))).split("\n")
    assert lines[4:6] == ["2 | edits:", "  |       ^"]


def test_carets_stand_below_wide_and_escaped_characters() -> None:
    lines = one(Diagnostic("PC101", "m", at(1, 5, 7, "層\x1b: ab c"))).split("\n")
    assert lines[3] == r"1 | 層\x1b: ab c"
    assert lines[4] == "  |         ^^"


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    lines = one(Diagnostic("PC101", "m", at(1, 501, 504, "a" * 500 + "xyz" + "b" * 500))).split(
        "\n"
    )
    assert len(lines[3]) < 140
    start = lines[4].index("^")
    assert lines[3][start : start + 3] == "xyz"
    assert lines[3].startswith("1 | ...")
    assert lines[3].endswith("...")


def test_a_place_beyond_the_end_of_the_text_is_no_trouble() -> None:
    assert "^" in one(Diagnostic("PC002", "m", at(9, 3, 4)))


def test_a_diagnostic_about_a_file_names_it() -> None:
    found = Diagnostic("PC401", "there is no such file", file="m\x1b.keras")
    assert one(found) == "PC401 there is no such file\n --> m\\x1b.keras"
    assert brief(found) == "m\\x1b.keras: PC401 there is no such file"


def test_all_are_sorted_and_counted() -> None:
    late = Diagnostic("PC101", "late", at(4, 1, 2))
    early = Diagnostic("PC901", "early", at(3, 1, 2), severity="warning")
    text = full([late, early])
    assert text.index("early") < text.index("late")
    assert text.endswith("\n\nFound 1 error and 1 warning.")
    assert counts([late, late]) == "Found 2 errors."


def test_concise_is_one_line() -> None:
    warning = Diagnostic("PC901", "a\nb", at(3, 13, 24), "help", severity="warning")
    assert brief(warning) == r"p.yaml:3:13: PC901 warning: a\nb"


def test_colour_changes_nothing_but_the_colour() -> None:
    import re

    found = Diagnostic("PC201", "m", at(3, 13, 24), "h")
    coloured = one(found, Paint(on=True))
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == one(found)
