from __future__ import annotations

import pytest

from patchc.errors import PatchError, Span
from patchc.language.source import Document, Path, decode, parse
from tests.language.patch_texts import marked


def read(text: str) -> Document:
    return parse(decode(text.encode("utf-8", "surrogatepass"), "p.yaml"))


def place(span: Span) -> tuple[int, int, int, int]:
    return span.line, span.column, span.end_line, span.end_column


def text_at(document: Document, path: Path) -> str:
    span = document.spans[path]
    assert span.line == span.end_line
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


def test_data_and_places() -> None:
    document = read('patchc: 1\nedits:\n  - select: {head: 0}   # why\n    "freeze": true\n')
    assert document.data == {"patchc": 1, "edits": [{"select": {"head": 0}, "freeze": True}]}
    assert document.problems == ()
    assert text_at(document, ("edits", 0, "select")) == "{head: 0}"
    assert text_at(document, ("edits", 0, "select", "head")) == "0"
    assert text_at(document, ("edits", 0, "freeze")) == "true"
    assert place(document.key_spans["edits", 0, "freeze"]) == (4, 5, 4, 13)
    assert place(document.spans["edits", 0]) == (3, 5, 4, 19)


def test_a_block_ends_with_its_last_entry_not_with_blank_lines_and_comments() -> None:
    document = read("a:\n  - x\n  - [y,\n     z]\n\n# note\n\nb: |\n  one\n  two\n\n\nc: 1\n")
    assert place(document.spans["a",]) == (2, 3, 4, 8)
    assert place(document.spans["b",]) == (8, 4, 10, 6)
    assert document.data["b"] == "one\ntwo\n"


def test_a_missing_value_has_the_place_of_its_key() -> None:
    document = read("a:\nb: {c: , d: 1}\n")
    assert document.data == {"a": None, "b": {"c": None, "d": 1}}
    assert place(document.spans["a",]) == (1, 1, 1, 2)
    assert text_at(document, ("b", "c")) == "c"


def test_quotes_make_text() -> None:
    document = read("a: \"1\"\nb: 'true'\nc: \"\"\nd: '<<'\n\"<<\": x\n'1': y\n")
    assert document.data == {"a": "1", "b": "true", "c": "", "d": "<<", "<<": "x", "1": "y"}
    assert document.problems == ()


def test_byte_order_mark_and_crlf_do_not_move_columns() -> None:
    document = parse(decode(b"\xef\xbb\xbfa: 1\r\nb: [x, y]\r\n", "p"))
    assert document.data == {"a": 1, "b": ["x", "y"]}
    assert place(document.spans["a",]) == (1, 4, 1, 5)
    assert text_at(document, ("b", 1)) == "y"


def test_columns_count_characters_not_bytes() -> None:
    document = read("é: {名前: 😀, b: 1}")
    assert text_at(document, ("é", "名前")) == "😀"
    assert text_at(document, ("é", "b")) == "1"


def test_all_that_is_wrong_is_found_in_one_go() -> None:
    document = read(
        "a: 1\na: 2\nb: !x 3\nc: &q 4\nd: *q\n1: x\n<<: y\n? [k]\n: 1\n"
        'e: .nan\nf: "\\ud800"\nnull: 3\ntrue: 4\n1.5: 5\ng: (3, 3)\n'
    )
    assert [(found.code, found.span and found.span.line) for found in document.problems] == [
        ("PC004", 2),
        ("PC003", 3),
        ("PC003", 4),
        ("PC003", 5),
        ("PC007", 6),
        ("PC003", 7),
        ("PC007", 8),
        ("PC007", 10),
        ("PC007", 11),
        ("PC007", 12),
        ("PC007", 13),
        ("PC007", 14),
        ("PC007", 15),
    ]
    assert all(found.help for found in document.problems)


def test_a_duplicate_key_names_both_places() -> None:
    (found,) = read("a:\n  b: 1\n  c: 2\n  b: 3\n").problems
    assert marked(found) == "b"
    assert found.span
    assert found.span.line == 4
    assert "line 2, column 3" in found.message


def test_a_tag_and_an_anchor_on_one_value_are_two_problems() -> None:
    assert [found.message for found in read("a: &x !y 1").problems] == [
        "anchors are not allowed",
        "tags are not allowed",
    ]


def test_before_a_syntax_error_everything_is_reported() -> None:
    with pytest.raises(PatchError) as refused:
        read("a: 1\na: 2\nb: [1, 2\nc: !x 3\n")
    assert [found.code for found in refused.value.diagnostics] == ["PC004", "PC002"]


def test_thirty_two_levels_are_read_and_one_more_is_not() -> None:
    document = read("a: " + "[" * 31 + "]" * 31)
    assert document.problems == ()
    with pytest.raises(PatchError) as refused:
        read("a: " + "[" * 32 + "]" * 32)
    assert refused.value.diagnostics[0].code == "PC006"


@pytest.mark.parametrize(
    ("text", "help_says"),
    [
        ("a: *head", 'quote it if it is a pattern: "*head"'),
        ("a: {n: [b, *_bn]}", 'quote it if it is a pattern: "*_bn"'),
        ("a: **/bn", "quote the pattern"),
        ("a: *", "quote the pattern"),
        ("a: @last", "quote the pattern"),
        ("a: {name: conv_8[123]}", "quote"),
        ("a: {name: a?}", "quote"),
        ("a: !Dense", "quote it: '!Dense'"),
        ("a: {kernel_size: (3, 3)}", "write a list: [3, 3]"),
        ("a: {kernel_size: (3, 3), b: 1}", "write a list: [3, 3]"),
        ("a: {kernel_size: (3,)}", "write a list: [3]"),
        ("kernel_size: (3, 3)", "write a list: [3, 3]"),
        ("a:\n\tb: 1", "indent with spaces"),
        ("5: x", 'quote it: "5"'),
        ("a: b: c", "indent alike"),
        ("a: [1, 2", "close the bracket"),
        ("a: 'x", "close the quote"),
        ("a: !x!y z", "tags are not allowed"),
    ],
)
def test_help_for_the_traps_of_yaml(text: str, help_says: str) -> None:
    try:
        found = read(text).problems
    except PatchError as error:
        found = error.diagnostics
    assert len(found) == 1
    assert help_says in str(found[0].help)


def test_bytes_that_are_not_utf8_are_placed() -> None:
    with pytest.raises(PatchError) as refused:
        decode(b"a: 1\nb\xc3\xa9: \xe9\n", "p.yaml")
    (found,) = refused.value.diagnostics
    assert found.code == "PC001"
    assert found.span
    assert place(found.span) == (2, 5, 2, 6)


def test_utf16_is_named() -> None:
    with pytest.raises(PatchError, match="UTF-16"):
        decode("a: 1".encode("utf-16"), "p.yaml")


def test_every_forbidden_character_is_placed() -> None:
    with pytest.raises(PatchError) as refused:
        decode("a: \x01x\nb: y\u202ez # \u200b\n".encode(), "p.yaml")
    spans = [found.span for found in refused.value.diagnostics if found.span]
    assert [(span.line, span.column) for span in spans] == [(1, 4), (2, 5), (2, 10)]


def test_joiners_and_emoji_are_text() -> None:
    assert read("a: 👩‍🔬 می‌خواهم").problems == ()


def test_one_mebibyte_is_read_and_one_more_byte_is_not() -> None:
    data = b"a: 1 #" + b"x" * ((1 << 20) - 6)
    assert decode(data, "p").text.startswith("a: 1")
    with pytest.raises(PatchError, match="PC006"):
        decode(data + b"x", "p")
