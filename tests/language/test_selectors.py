from __future__ import annotations

import pytest

from patchc.language.patch import (
    AnySelector,
    BlockBounds,
    CopyOf,
    Element,
    Insert,
    KeySelector,
    LayerSpec,
    NameSelector,
    Residual,
)
from tests.language.patch_texts import edit, edit_problems, marked


def keys(text: str) -> KeySelector:
    selector = edit(f"select: {text}\nfreeze: true").select
    assert isinstance(selector, KeySelector)
    return selector


def chain(text: str) -> tuple[Element, ...]:
    verb = edit(f"select: x\ninsert_after:{text}").verb
    assert isinstance(verb, Insert)
    return verb.chain


def test_text_list_and_mapping() -> None:
    name = edit('select: "*_bn"\nfreeze: true').select
    assert isinstance(name, NameSelector)
    assert name.glob == "*_bn"
    either = edit("select: [a, {class: Dense}]\nfreeze: true").select
    assert isinstance(either, AnySelector)
    assert isinstance(either.items[0], NameSelector)
    assert isinstance(either.items[1], KeySelector)
    assert list(keys("{class: Dense, nth: -1}").keys) == ["class", "nth"]


def test_each_key_has_the_form_that_the_compiler_reads() -> None:
    selector = keys(
        "{name: a, class: [Dense, Conv2D], regex: b.*, where: {use_bias: false, x: {y: [1]}}, "
        "weighted: true, trainable: false, output: 0, input: img, head: '*', first: 3}"
    )
    assert dict(selector.keys) == {
        "name": ("a",),
        "class": ("Dense", "Conv2D"),
        "regex": "b.*",
        "where": {"use_bias": False, "x": {"y": [1]}},
        "weighted": True,
        "trainable": False,
        "output": 0,
        "input": "img",
        "head": "*",
        "first": 3,
    }
    assert selector.spans["first"].end_column - selector.spans["first"].column == 1


def test_selectors_inside_selectors() -> None:
    selector = keys("{inside: m, before: {head: 0}, not: [a, b], any: [a], all: [{last: 2}]}").keys
    assert isinstance(selector["inside"], NameSelector)
    assert isinstance(selector["before"], KeySelector)
    assert isinstance(selector["not"], AnySelector)
    assert isinstance(selector["any"], tuple)
    assert selector["all"][0].keys == {"last": 2}


def test_block() -> None:
    bounds = keys("{block: {from: [a, b], to: c}}").keys["block"]
    assert isinstance(bounds, BlockBounds)
    assert isinstance(bounds.from_, AnySelector)
    assert isinstance(bounds.to, NameSelector)


@pytest.mark.parametrize("pair", ["first: 1, last: 2", "nth: 0, first: 1", "last: 1, nth: 2"])
def test_one_position_only(pair: str) -> None:
    for text in (f"{{{pair}}}", f"{{not: {{block: {{from: a, to: {{{pair}}}}}}}}}"):
        (found,) = edit_problems(f"select: {text}\nremove: true")
        assert found.code == "PC107"
        assert marked(found) in pair.split(", ")[1]


@pytest.mark.parametrize("text", [" Flatten", " {Flatten: }", " {Flatten: {}}", " [Flatten]"])
def test_a_layer_without_arguments(text: str) -> None:
    (layer,) = chain(text)
    assert isinstance(layer, LayerSpec)
    assert (layer.class_name, layer.config) == ("Flatten", {})


def test_a_layer_keeps_its_arguments_as_they_are_written() -> None:
    (layer,) = chain(
        " {Dense: {units: 5, name: no, kernel_regularizer: {L2: {l2: 1e-4}}, "
        "bias_constraint: null}}"
    )
    assert isinstance(layer, LayerSpec)
    assert layer.config == {
        "units": 5,
        "name": "no",
        "kernel_regularizer": {"L2": {"l2": 0.0001}},
        "bias_constraint": None,
    }
    assert set(layer.spans) == set(layer.config)


def test_a_custom_class() -> None:
    (layer,) = chain(' {"my_package>MyLayer": {k: 1}}')
    assert isinstance(layer, LayerSpec)
    assert layer.class_name == "my_package>MyLayer"


def test_composites() -> None:
    residual, copy = chain(
        "\n  - residual:\n      - Dense: {units: 4}\n      - {residual: Dropout}\n"
        "  - copy_of: {block: {from: a, to: b}}"
    )
    assert isinstance(residual, Residual)
    assert isinstance(residual.chain[1], Residual)
    assert isinstance(copy, CopyOf)
    assert isinstance(copy.selector, KeySelector)


@pytest.mark.parametrize("name", ["residual", "copy_of"])
def test_composites_need_what_they_hold(name: str) -> None:
    (found,) = edit_problems(f"select: x\nreplace: {name}")
    assert (found.code, marked(found)) == ("PC104", name)
