from __future__ import annotations

import pytest

from patchc.language import Patch, loads
from patchc.language.patch import Expand, LayerSpec, NameSelector, Replace
from tests.language.patch_texts import codes, marked, problems


def patch(declaration: str, edit: str = "expand: {by: $n}", **settings: str) -> Patch:
    return loads(text(declaration, edit), set_values=settings)


def text(declaration: str, edit: str = "expand: {by: $n}") -> str:
    return f"patchc: 1\nid: a\nparams: {{{declaration}}}\nedits:\n  - select: x\n    {edit}\n"


def test_default_and_setting() -> None:
    declared = "n: {type: integer, minimum: 2, default: 5}"
    for settings, value in (({}, 5), ({"n": "7"}, 7)):
        loaded = patch(declared, **settings)
        verb = loaded.edits[0].verb
        assert isinstance(verb, Expand)
        assert verb.by == value
        assert loaded.params == {"n": value}
        assert loaded.warnings == ()


def test_inside_a_layer_and_as_a_selector() -> None:
    loaded = loads(
        "patchc: 1\nid: a\nparams:\n  name: {type: string, default: fc}\n"
        "  rate: {type: number, default: 1e-3}\nedits:\n"
        "  - select: $name\n    replace: {Dropout: {rate: $rate, tags: [$name, $$name]}}\n"
    )
    edit = loaded.edits[0]
    assert isinstance(edit.select, NameSelector)
    assert edit.select.glob == "fc"
    assert isinstance(edit.verb, Replace)
    (layer,) = edit.verb.chain
    assert isinstance(layer, LayerSpec)
    assert layer.config == {"rate": 0.001, "tags": ["fc", "$name"]}


def test_the_place_stays_that_of_the_name() -> None:
    (found,) = problems(text("n: {type: integer, default: 0}"))
    assert found.code == "PC104"
    assert marked(found) == "$n"


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("integer", "012", 12),
        ("number", "1e-3", 0.001),
        ("number", "3", 3),
        ("boolean", "true", True),
        ("string", "012", "012"),
        ("string", " no ", " no "),
        ("string", "", ""),
        ("string", "$x", "$x"),
    ],
)
def test_settings_are_yaml_scalars_but_for_text(kind: str, given: str, value: object) -> None:
    loaded = patch(f"n: {{type: {kind}}}", "set: {k: $n}", n=given)
    assert loaded.params == {"n": value}
    assert type(loaded.params["n"]) is type(value)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("type: integer", "2.0"),
        ("type: integer", "true"),
        ("type: integer", "two"),
        ("type: integer", ""),
        ("type: integer", "9" * 5000),
        ("type: number", ".nan"),
        ("type: number", "true"),
        ("type: boolean", "yes"),
        ("type: boolean", "1"),
        ("type: integer, minimum: 2", "1"),
        ("type: integer, maximum: 2", "3"),
        ("type: string, enum: [relu, gelu]", "tanh"),
        ("type: string", "\x1b[31m"),
    ],
)
def test_a_setting_must_fit(declared: str, given: str) -> None:
    (found,) = problems(text(f"n: {{{declared}}}", "set: {k: $n}"), n=given)
    assert found.code == "PC108"
    assert marked(found) == "n"


@pytest.mark.parametrize(
    ("declared", "at"),
    [
        ("type: integer, default: x", "x"),
        ("type: integer, default: 1, minimum: 2", "1"),
        ("type: string, default: a, enum: [b]", "a"),
        ("type: string, enum: [b, 2], default: b", "2"),
        ("type: string, minimum: 2, default: b", "minimum"),
    ],
)
def test_a_declaration_must_not_contradict_itself(declared: str, at: str) -> None:
    (found,) = problems(text(f"n: {{{declared}}}", "set: {k: $n}"))
    assert found.code == "PC108"
    assert marked(found) == at


def test_required_means_set() -> None:
    (found,) = problems(text("n: {type: integer}"))
    assert (found.code, marked(found)) == ("PC108", "n")
    assert "--set n=" in str(found.help)


def test_unknown_names_are_reported_with_near_ones() -> None:
    declared = "classes: {type: integer, default: 5}"
    (found,) = problems(text(declared, "expand: {by: $clases}"))
    assert (found.code, marked(found)) == ("PC108", "$clases")
    assert found.help == "did you mean `classes`?"
    (found,) = problems(text(declared, "expand: {by: $classes}"), clases="3")
    assert "`clases` is set" in found.message


@pytest.mark.parametrize("value", ["$", "$5", "$a-b", "$a b", "${a}"])
def test_a_single_dollar_begins_a_name_or_nothing(value: str) -> None:
    (found,) = problems(text("n: {type: integer, default: 1}", f'rename: "{value}"'))
    assert found.code == "PC108"
    assert f'"${value}"' in str(found.help)


def test_the_types_of_values_are_checked_after_filling_in() -> None:
    (found,) = problems(text("n: {type: string, default: x}"))
    assert codes([found]) == ["PC103"]
    assert found.help == "this is the value of $n"


@pytest.mark.parametrize(
    "declared",
    ["n: 5", "n: {}", "n: {type: list}", "n: {type: [integer]}", "n: {type: integer, default: []}"],
)
def test_a_malformed_declaration_is_reported_once(declared: str) -> None:
    assert len(problems(text(declared))) == 1


def test_parameters_without_effect_are_lints() -> None:
    loaded = patch("n: {type: string, default: x}", "rename: head_$n")
    assert [(found.code, found.severity) for found in loaded.warnings] == [
        ("PC907", "warning"),
        ("PC907", "warning"),
    ]
    assert {marked(found) for found in loaded.warnings} == {"n", "head_$n"}


def test_prose_may_speak_of_parameters() -> None:
    loaded = loads(text("n: {type: integer, default: 1}") + "description: adds $n units\n")
    assert loaded.warnings == ()
