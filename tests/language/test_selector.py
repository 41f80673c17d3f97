"""Selectors that stand alone, in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import AnySelector, KeySelector, NameSelector
from patchc.language.selector import load_selector


def refusal(text: str) -> tuple[str, str]:
    """The code, and the text that the carets stand below."""
    with pytest.raises(PatchError) as caught:
        load_selector(text, "--select")
    (found,) = caught.value.diagnostics
    assert found.span is not None
    assert found.span.source.name == "--select"
    assert (found.span.line, found.span.end_line) == (1, 1)
    line = found.span.source.line(1)
    return found.code, line[found.span.column - 1 : found.span.end_column - 1]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("conv5_*", NameSelector),
        (' "**/bn" ', NameSelector),
        ("[a, b]", AnySelector),
        ("- a", AnySelector),
        ("{class: Dense, last: 2}", KeySelector),
        ("class: Dense", KeySelector),
        ("{block: {from: a, to: b}}", KeySelector),
    ],
)
def test_the_three_shapes(text: str, kind: type) -> None:
    selector = load_selector(text)
    assert isinstance(selector, kind)
    span = selector.span
    assert (span.column, span.end_column) == (1, len(text.strip()) + 1)


@pytest.mark.parametrize(
    ("text", "code", "marked"),
    [
        ("{clas: Dense}", "PC101", "clas"),
        ("{class: Dense, first: 1, last: 2}", "PC107", "last"),
        ("3", "PC103", "3"),
        ("{before: }", "PC103", "before"),
        ("{class: Dense", "PC002", ""),
        ("*head", "PC003", "*head"),
        ("{class: A, class: B}", "PC004", "class"),
        ("a\x1bb", "PC001", "\x1b"),
        ("", "PC104", ""),
        ("a\nb: c", "PC104", "a"),
    ],
)
def test_what_is_wrong_is_marked_in_the_users_own_text(text: str, code: str, marked: str) -> None:
    assert refusal(text) == (code, marked)


def problems(text: str) -> tuple[Diagnostic, ...]:
    try:
        load_selector(text)
    except PatchError as error:
        return error.diagnostics
    return ()


@given(st.text(st.sampled_from("ab*?[]{}:,'\"-#&!|>%@ \n\\01é"), max_size=20))
def test_any_text_is_a_selector_or_refused_with_a_place(text: str) -> None:
    assert all(found.span is not None for found in problems(text))
