from __future__ import annotations

import pytest

from patchc.language import loads
from patchc.language.patch import (
    AddOutput,
    Expand,
    Freeze,
    InitVerb,
    Insert,
    LayerSpec,
    Remove,
    Rename,
    Replace,
    SetConfig,
    Shrink,
    Truncate,
)
from patchc.model.values import Strategy
from tests.language.patch_texts import (
    codes,
    edit,
    edit_problems,
    load_needed,
    marked,
    people_need,
    problems,
    with_edit,
)


def test_a_whole_patch() -> None:
    text = (
        "patchc: 1\nid: add-two\ndescription: two more\nrequires: [first, second]\nseed: 7\n"
        "expect: {name: m, output_shape: [null, 10], input_shape: [[null, 3], [null, 4]]}\n"
        "compile: {learning_rate: 1e-4}\nverify: {outputs: extends, probes: p.npz}\n"
        "edits:\n  - select: {head: 0}\n    expand: {by: 2}\n    count: one\n    why: tent\n"
        "    init: {kernel: glorot_uniform}\n  - select: x\n    freeze: true\n"
    )
    patch = loads(text)
    assert (patch.id, patch.description, patch.seed) == ("add-two", "two more", 7)
    assert patch.requires == ("first", "second")
    assert patch.expect
    assert patch.expect.values == {
        "name": "m",
        "output_shape": (None, 10),
        "input_shape": [(None, 3), (None, 4)],
    }
    assert set(patch.expect.spans) == set(patch.expect.values)
    assert patch.compile == {"learning_rate": 1e-4}
    assert patch.verify == {"outputs": "extends", "probes": "p.npz"}
    assert patch.spans["edits"].line == 10
    assert patch.source.text == text
    first, second = patch.edits
    assert (first.index, first.verb_name, first.count, first.why) == (0, "expand", "one", "tent")
    assert first.init
    assert first.init.strategies == {"kernel": Strategy("GlorotUniform")}
    assert first.init.bare is None
    assert (second.index, second.verb, second.init) == (1, Freeze(True), None)
    assert (second.verb_span.line, second.verb_span.column) == (16, 13)


def test_the_digest_is_that_of_the_bytes() -> None:
    text = with_edit("select: x\nfreeze: true")
    assert loads(text).sha256 == loads(text, name="other").sha256
    assert loads(text).sha256 != loads(text + "\n").sha256
    assert len(loads(text).sha256) == 64


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("freeze: false", Freeze(False)),
        ("remove: true", Remove()),
        ("rename: y", Rename("y")),
        ("truncate: true", Truncate(None)),
        ("truncate: true\ncall: 1", Truncate(1)),
        ("add_output: true", AddOutput((), None)),
        ("add_output: true\ncall: 0", AddOutput((), 0)),
        ("init: zeros", InitVerb()),
        ("expand: {by: 2}", Expand(2, None, None, None, True, None, None)),
        ("expand: {by: 2, at: 5}", Expand(2, None, None, (5,), True, None, None)),
        ("expand: {by: 2, at: [3, 1]}", Expand(2, None, None, (3, 1), True, None, None)),
        ("expand: {to: 9, axis: k}", Expand(None, 9, "k", None, True, None, None)),
        (
            "expand: {tokens: [tent, 5]}",
            Expand(None, None, None, None, True, None, ("tent", 5)),
        ),
        (
            "expand: {by: 1, preserve: false}",
            Expand(1, None, None, None, False, None, None),
        ),
        (
            "expand: {by: 1, max_prob_shift: 1e-6}",
            Expand(1, None, None, None, True, 1e-6, None),
        ),
        ("shrink: {drop: [7, 3]}", Shrink((7, 3), None, None)),
        ("shrink: {keep: [0], axis: units}", Shrink(None, (0,), "units")),
    ],
)
def test_verbs(text: str, verb: object) -> None:
    assert edit(f"select: x\n{text}").verb == verb


def test_verbs_with_layers() -> None:
    replace = edit("select: x\nreplace: [Flatten, {Dense: {units: 5}}]").verb
    assert isinstance(replace, Replace)
    assert [one.class_name for one in replace.chain if isinstance(one, LayerSpec)] == [
        "Flatten",
        "Dense",
    ]
    for name in ("insert_before", "insert_after"):
        insert = edit(f"select: x\n{name}: Dropout").verb
        assert isinstance(insert, Insert)
        assert insert.after == (name == "insert_after")
    output = edit("select: x\nadd_output: {Dense: {units: 1}}\ncall: 2").verb
    assert isinstance(output, AddOutput)
    assert (len(output.chain), output.call) == (1, 2)


def test_set_keeps_values_and_places() -> None:
    verb = edit("select: x\nset: {rate: 0.5, dtype: mixed_float16, noise_shape: null}").verb
    assert isinstance(verb, SetConfig)
    assert verb.values == {"rate": 0.5, "dtype": "mixed_float16", "noise_shape": None}
    assert verb.spans["rate"].column == 17


@pytest.mark.parametrize("count", ["one", "some", "any", 0, 13])
def test_count(count: str | int) -> None:
    assert edit(f"select: x\ncount: {count}\nfreeze: true").count == count


def test_why_may_be_a_block() -> None:
    assert edit("select: x\nfreeze: true\nwhy: >\n  so that\n  it holds").why == "so that it holds"


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("expand: {}", "PC102", "{}"),
        ("expand: {axis: units}", "PC102", "{axis: units}"),
        ("expand: {by: 1, to: 2}", "PC107", "to"),
        ("expand: {tokens: [a], by: 1}", "PC107", "by"),
        ("expand: {tokens: [a], at: 1}", "PC107", "at"),
        ("expand: {tokens: [a], axis: k}", "PC107", "axis"),
        ("expand: {tokens: [a, b, a]}", "PC104", "a"),
        ("expand: {by: 2, at: [1, 2, 3]}", "PC107", "[1, 2, 3]"),
        ("expand: {by: 1, max_prob_shift: 0.1, preserve: false}", "PC107", "preserve"),
        ("expand: {by: 1, max_prob_shift: 0.1}\ninit: zeros", "PC107", "init"),
        ("shrink: {}", "PC102", "{}"),
        ("shrink: {drop: [1], keep: [2]}", "PC107", "keep"),
        ("shrink: {drop: [1, 1]}", "PC104", "1"),
        ("freeze: true\ninit: zeros", "PC107", "init"),
        ("rename: y\ninit: zeros", "PC107", "init"),
        ("remove: true\ninit: zeros", "PC107", "init"),
        ("truncate: true\ninit: zeros", "PC107", "init"),
        ("set: {rate: 1}\ninit: zeros", "PC107", "init"),
        ("add_output: true\ninit: zeros", "PC107", "init"),
        ("freeze: true\ncall: 0", "PC107", "call"),
        ("init: zeros\ncall: 0", "PC107", "call"),
    ],
)
def test_rules_between_keys(text: str, code: str, at: str) -> None:
    (found,) = edit_problems(f"select: x\n{text}")
    assert (found.code, marked(found)) == (code, at)
    assert found.help


def test_shapes_are_of_one_kind() -> None:
    for shape in ("[null, [1]]", "[[null, 10]]"):
        text = with_edit("select: x\nfreeze: true") + f"\nexpect: {{output_shape: {shape}}}"
        (found,) = problems(text)
        assert (found.code, marked(found)) == ("PC104", shape)


def test_a_patch_does_not_require_itself() -> None:
    for requires in ("a", "[b, a]"):
        text = with_edit("select: x\nfreeze: true") + f"\nrequires: {requires}"
        assert codes(problems(text)) == ["PC104"]


REFUSED = {"P10": ["PC106"], "P25": ["PC103"]}


@pytest.mark.skipif(not people_need(), reason="the folder with the guides is not here")
def test_the_patches_that_people_need() -> None:
    patches = people_need()
    assert len(patches) > 50
    for name, text in patches.items():
        if name in REFUSED:
            assert codes(problems(text)) == REFUSED[name]
        else:
            patch = load_needed(text)
            assert patch.warnings == ()
            assert len(patch.edits) == text.count("- select:")
