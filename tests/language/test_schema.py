from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from patchc.language import load, loads
from patchc.language.schema import _VALUE_MESSAGES, read_schema
from tests.language.patch_texts import (
    codes,
    edit_problems,
    marked,
    people_need,
    problems,
    with_edit,
)

SCHEMA = json.loads(read_schema("patch"))
STRUCTURE = {"additionalProperties", "required", "oneOf", "maxProperties", "propertyNames"}
WITHOUT_MESSAGE = {
    *("$schema", "$ref", "title", "description", "examples", "default"),
    *("definitions", "properties", "items", "not"),
}


def schemas(node: Any = SCHEMA) -> Iterator[dict[str, Any]]:
    """Every schema object inside the schema."""
    yield node
    for key in ("properties", "definitions"):
        for child in node.get(key, {}).values():
            yield from schemas(child)
    for key in ("anyOf", "oneOf"):
        for child in node.get(key, []):
            yield from schemas(child)
    for key in ("items", "additionalProperties", "propertyNames", "not"):
        if isinstance(child := node.get(key), dict):
            yield from schemas(child)


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Whether a part of the published schema takes the value."""
    whole = {"definitions": SCHEMA["definitions"], "allOf": [schema]}
    return bool(Draft7Validator(whole).is_valid(value))


def test_the_published_schema_is_draft_07() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(SCHEMA)


def test_every_key_is_described_with_examples_that_fit() -> None:
    for schema in schemas():
        for key, value in schema.get("properties", {}).items():
            assert value.get("description"), key
            assert value.get("examples"), key
            assert all(accepts(value, example) for example in value["examples"]), key


def test_mappings_are_closed_unless_their_keys_are_keras_s_or_the_users() -> None:
    open_ones = [
        schema.get("title") or schema.get("description")
        for schema in schemas()
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False
    ]
    starts = ("Values that can be", "Changes conf", "Configuration keys", "Keras object", "layer")
    assert len(open_ones) == 6
    assert all(str(name).startswith((*starts, "None")) for name in open_ones)


def test_every_keyword_has_a_message() -> None:
    used = {key for schema in schemas() for key in schema} - WITHOUT_MESSAGE
    assert used <= {*_VALUE_MESSAGES, *STRUCTURE}
    patterns = [schema for schema in schemas() if "pattern" in schema]
    assert all(
        "title" in schema for schema in patterns if schema != SCHEMA["definitions"]["parameter"]
    )


@pytest.mark.parametrize("name", [name for name in people_need() if name != "P25"])
def test_the_published_schema_accepts_what_people_need(name: str) -> None:
    data = yaml.safe_load(people_need()[name])
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(data)] == []


def test_the_published_schema_takes_a_parameter_for_any_scalar() -> None:
    data = {
        "patchc": 1,
        "id": "$id",
        "seed": "$x",
        "requires": ["$x"],
        "expect": {"output_shape": [None, "$x"], "input_shape": [["$x"], [3]], "sha256": "$x"},
        "compile": {"learning_rate": "$x", "optimizer": "$x", "loss_weights": "$x"},
        "verify": {"outputs": "$x", "atol": "$x", "probes": "$x"},
        "edits": [
            {"select": "$x", "count": "$x", "freeze": "$x"},
            {"select": {"head": "$x", "nth": "$x", "weighted": "$x"}, "remove": "$x"},
            {"select": {"first": "$x", "name": "$x"}, "rename": "$x"},
            {"select": "$x", "expand": {"by": "$x", "at": ["$x"], "max_prob_shift": "$x"}},
            {"select": "$x", "shrink": {"drop": ["$x"]}},
            {"select": "$x", "add_output": "$x", "call": "$x"},
            {
                "select": "$x",
                "replace": ["$x", {"Dense": {"units": "$x"}}],
                "init": {"kernel": "$x"},
            },
        ],
    }
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(data)] == []


ERRORS = [
    # an edit, the code, the text that is marked, part of the message, part of the help
    ("select: x\nfrezee: true", "PC101", "frezee", "unknown key `frezee`", "`freeze`"),
    ("select: x\ninit: zeros\ninti: 1", "PC101", "inti", "unknown key", "`init`"),
    ("selct: x\nfreeze: true", "PC101", "selct", "unknown key", "`select`"),
    ("select: x\nexpand: {buy: 2}", "PC101", "buy", "`expand`", "`by`"),
    ("select: x\nby: 2", "PC101", "by", "unknown key", "inside `expand`"),
    ("select: x\nfreeze: true\nhead: 0", "PC101", "head", "unknown key", "inside `select`"),
    ("select: x\ndelete: true", "PC101", "delete", "unknown key", "`remove`"),
    ("select: {clas: Dense}\nfreeze: true", "PC101", "clas", "`select`", "`class`"),
    ("select: {not: {any: [{nmae: x}]}}\nfreeze: true", "PC101", "nmae", "any[0]", "`name`"),
    ("freeze: true", "PC102", "freeze: true", "`select` is missing", "head: 0"),
    ("select: {block: {from: a}}\nremove: true", "PC102", "{from: a}", "`to` is missing", None),
    ("select: x", "PC105", "select: x", "has no verb", "`expand`"),
    ("select: x\ncount: one", "PC105", "select: x", "has no verb", "`expand`"),
    ("select: x\nfreeze: true\nremove: true", "PC105", "remove", "2 verbs", "one edit of each"),
    ("select: 5\nfreeze: true", "PC103", "5", "the number 5", 'quote it: "5", or use nth'),
    ("select: [a, 5]\nfreeze: true", "PC103", "5", "`select[1]`", "or use nth"),
    ("select: {not: 5}\nfreeze: true", "PC103", "5", "`not`", "or use nth"),
    ("select: true\nfreeze: true", "PC103", "true", "`select` is true", 'quote it: "true"'),
    (
        "select: #head\nfreeze: true",
        "PC103",
        "select",
        "null",
        '`#` starts a comment, quote it: "#head"',
    ),
    ("select:\nfreeze: true", "PC103", "select", "null", "give a value"),
    ("select: {name: 5}\nfreeze: true", "PC103", "5", "allowed is text or a list", 'quote it: "5"'),
    ("select: {name: [a, 5]}\nfreeze: true", "PC103", "5", "`name[1]`", 'quote it: "5"'),
    ("select: {nth: a}\nfreeze: true", "PC103", "a", "a whole number", None),
    ("select: []\nfreeze: true", "PC104", "[]", "`select` is empty", None),
    ("select: {}\nfreeze: true", "PC104", "{}", "`select` is empty", None),
    ('select: ""\nfreeze: true', "PC104", '""', "`select` is empty", None),
    ("select: {last: 0}\nfreeze: true", "PC104", "0", "the least allowed is 1", None),
    ("select: {head: -1}\nfreeze: true", "PC104", "-1", "the least allowed is 0", None),
    ("select: x\nfreeze: yes", "PC103", "yes", "true or false", "write true or false"),
    ("select: x\nfreeze: 1", "PC103", "1", "true or false", None),
    ("select: x\nremove: false", "PC104", "false", "`true`", None),
    ("select: x\nexpand: 2", "PC103", "2", "a mapping", "{by: 2}"),
    ("select: x\nshrink: [1]", "PC103", "[1]", "a mapping", "drop"),
    ("select: x\nexpand: {by: 2.0}", "PC103", "2.0", "a whole number", "write 2"),
    ('select: x\nexpand: {by: "2"}', "PC103", '"2"', 'the text "2"', "write 2 without quotes"),
    ("select: x\nexpand: {by: 1_000}", "PC103", "1_000", "a whole number", "write 1000"),
    ("select: x\nexpand: {by: 0}", "PC104", "0", "the least allowed is 1", None),
    ("select: x\nexpand: {to: -5}", "PC104", "-5", "the least allowed is 1", None),
    ("select: x\nexpand: {by: 1, at: -1}", "PC104", "-1", "the least allowed is 0", None),
    ("select: x\nexpand: {by: 1, at: [x]}", "PC103", "x", "`at[0]`", None),
    ("select: x\nexpand: {by: 1, max_prob_shift: 1}", "PC104", "1", "less than 1", None),
    ("select: x\nexpand: {by: 1, max_prob_shift: 0.0}", "PC104", "0.0", "greater than 0", None),
    ("select: x\nexpand: {tokens: []}", "PC104", "[]", "`tokens` is empty", None),
    ("select: x\nrename: {prefix: left_}", "PC103", "{prefix: left_}", "allowed is text", None),
    ("select: x\nrename: a/b", "PC104", "a/b", "without slashes", None),
    (f"select: x\nrename: {'a' * 256}", "PC104", "a" * 256, "longer than 255", None),
    ("select: x\nset: {}", "PC104", "{}", "`set` is empty", None),
    ("select: x\nset: 5", "PC103", "5", "a mapping", "{rate: 0.5}"),
    ("select: x\nreplace: 5", "PC103", "5", "`replace`", None),
    ("select: x\nreplace: {}", "PC104", "{}", "empty", None),
    ("select: x\nreplace: []", "PC104", "[]", "empty", None),
    ("select: x\nreplace: {Dense, Flatten}", "PC107", "Flatten", "2 keys", "[Dense, Flatten]"),
    ("select: x\nreplace: {Dense: 5}", "PC103", "5", "`Dense`", None),
    ("select: x\nreplace: Den se", "PC104", "Den se", "a class name", None),
    ("select: x\nreplace: {a-b: {}}", "PC104", "a-b", "a class name", None),
    ("select: x\nreplace: [[Dense]]", "PC103", "[Dense]", "`replace[0]`", None),
    ("select: x\nreplace:\n  Dense:\n  units: 5", "PC107", "units", "2 keys", "indent"),
    ("select: x\nadd_output: false", "PC104", "false", "`true`", None),
    ("select: x\ncount: sme\nfreeze: true", "PC104", "sme", "`some`", "did you mean `some`?"),
    ("select: x\ncount: -1\nfreeze: true", "PC104", "-1", "the least allowed is 0", None),
    ("select: x\ncount: 1.5\nfreeze: true", "PC103", "1.5", "a whole number", None),
    ("select: x\ninit: 5", "PC103", "5", "`init`", None),
    ("select: x\ninit: [zeros]", "PC103", "[zeros]", "`init`", None),
    ('select: x\nwhy: "a\\nb"\nfreeze: true', "PC104", '"a\\nb"', "one line", None),
]


@pytest.mark.parametrize(("text", "code", "at", "message", "hint"), ERRORS)
def test_each_mistake_gives_one_message(
    text: str, code: str, at: str, message: str, hint: str | None
) -> None:
    (found,) = edit_problems(text)
    assert (found.code, marked(found)) == (code, at)
    assert message in found.message
    assert hint is None or hint in str(found.help)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("id: Add_Two", "PC104", "kebab-case"),
        ('id: "a\\n"', "PC104", "kebab-case"),
        ("patchc: 2", "PC104", "allowed is `1`"),
        ("patchc: '1'", "PC103", "allowed is `1`"),
        ("patchc: true", "PC103", "allowed is `1`"),
        ("edits: []", "PC104", "empty"),
        ("edits: {select: x}", "PC103", "a list"),
        ("requires: []", "PC104", "empty"),
        ("requires: [A]", "PC104", "kebab-case"),
        ("seed: -1", "PC104", "least allowed is 0"),
        ("expect: {}", "PC104", "empty"),
        ("expect: {shape: [1]}", "PC101", "unknown key `shape`"),
        ("expect: {output_shape: 10}", "PC103", "a list"),
        ("expect: {output_shape: [-1, 10]}", "PC104", "`output_shape[0]` is -1"),
        ("expect: {output_shape: [[null, 0], [1]]}", "PC104", "`output_shape[0][1]` is 0"),
        ("expect: {sha256: abc}", "PC104", "64 hexadecimal digits"),
        ("compile: {lr: 1}", "PC101", "unknown key `lr`"),
        ("compile: {learning_rate: 1e-4x}", "PC103", "a number"),
        ("compile: {optimizer: {Adam: {}, SGD: {}}}", "PC107", "2 keys"),
        ("verify: {outputs: equal}", "PC104", "`same` or `extends`"),
        ("verify: {probes: 0}", "PC104", "least allowed is 1"),
        ("verify: {probes: p.txt}", "PC104", ".npz"),
        ("params: {a-b: {type: integer, default: 1}}", "PC104", "letters, digits"),
        ("params: {a: {type: integer, default: 1, min: 2}}", "PC101", "unknown key `min`"),
    ],
)
def test_top_level_mistakes(line: str, code: str, message: str) -> None:
    key = line.partition(":")[0]
    lines = [one for one in with_edit("select: x\nfreeze: true").split("\n") if one]
    rest = [one for one in lines if not one.startswith(f"{key}:")]
    if key == "edits":
        rest = rest[:2]
    (found,) = problems("\n".join([line, *rest]))
    assert found.code == code
    assert message in found.message


def test_everything_is_reported_at_once_in_order() -> None:
    found = problems(
        "patchc: 2\nid: A\nfoo: 1\nedits:\n"
        "  - select: 5\n    expand: {by: 0}\n"
        "  - slect: x\n    freeze: true\n"
        "  - select: {first: 1, last: 2}\n    init: zeroes\n"
        "  - select: x\n    rename: !t y\n"
    )
    assert codes(found) == [
        *("PC104", "PC104", "PC101", "PC103", "PC104", "PC101", "PC107", "PC106", "PC003"),
    ]
    assert list(found) == sorted(found, key=lambda one: one.position)


def test_what_is_broken_is_not_reported_twice() -> None:
    assert codes(edit_problems("select: *x\nfreeze: true")) == ["PC003"]
    assert codes(edit_problems("select: x\nexpand: {by: !!int 2}")) == ["PC003"]
    assert codes(edit_problems("select: x\n<<: {freeze: true}")) == ["PC003"]


def test_messages_have_the_voice_of_the_house() -> None:
    for text, *_ in ERRORS:
        (found,) = edit_problems(text)
        assert not found.message.endswith(".")
        assert not found.message[0].isupper()


def test_the_top_keys_that_are_missing() -> None:
    assert [found.message for found in problems("seed: 1")] == [
        "`patchc` is missing in the patch",
        "`id` is missing in the patch",
        "`edits` is missing in the patch",
    ]


def test_load_and_loads_agree(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("patches") / "p.yaml"
    text = with_edit("select: x\nfreeze: true")
    path.write_text(text, encoding="utf-8")
    assert load(path) == loads(text, name=str(path))
