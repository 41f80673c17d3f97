"""Patches that cannot be: code, place, message and way out are what a user needs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import patchc
from patchc.errors import Diagnostic
from tests.acceptance.judge import patch_of
from tests.conftest import Zoo

# model, edits, code, the text that is pointed at, part of the message, part of the help
Row = tuple[str, str, str, str, str, str]

# fmt: off
SELECT: list[Row] = [
    ("tower", "- {select: predicitons, freeze: true}",
     "PC201", "predicitons", "no layer of tower is called", "did you mean `predictions`?"),
    ("tower", "- {select: 'conv*', remove: true}",
     "PC201", "'conv*'", "`conv*`", "`hidden`"),
    ("nested", "- {select: backbone/conv_3, freeze: true}",
     "PC201", "backbone/conv_3", "backbone/conv_3", "`backbone/conv_2`"),
    ("tower", "- {select: {class: Conv2D, weighted: true}, freeze: true}",
     "PC201", "{class: Conv2D, weighted: true}", "matches no layer", "Dense"),
    ("tower", "- {select: {class: Dense, where: {units: 99}}, freeze: true}",
     "PC201", "{class: Dense, where: {units: 99}}", "matches no layer", "`where` took away"),
    ("tower", "- {select: {class: Dense}, expand: {by: 1}}",
     "PC202", "{class: Dense}", "matches 3 layers, `expand` wants 1", "count: 3"),
    ("tower", "- {select: 'hidden*', count: 3, insert_after: {ReLU: {}}}",
     "PC202", "'hidden*'", "matches 2 layers", "count: 2"),
    ("two_heads", "- {select: {output: 2}, remove: true}",
     "PC204", "2", "no output 2", "`kind`"),
    ("two_heads", "- {select: {input: middle}, set: {shape: [3]}}",
     "PC204", "middle", "no input 'middle'", "`left`"),
    ("twins", "- {select: {head: 0}, expand: {by: 1}}",
     "PC203", "0", "`sum` (Add) joins", "`joined`"),
    ("residual_net", ("- {select: {block: {from: stage1_block1_1_conv, to: stage2_block1_1_bn}},"
     " remove: true}"),
     "PC203", "{from: stage1_block1_1_conv, to: stage2_block1_1_bn}", "leave the block",
     "move `from` or `to`"),
    ("tower", "- {select: {block: {from: hidden_2, to: hidden}}, remove: true}",
     "PC203", "{from: hidden_2, to: hidden}", "no path", "exchange"),
    ("tower", "- {select: {regex: 'hid(den'}, freeze: true}",
     "PC204", "'hid(den'", "does not compile", "re2"),
]
REPLACE: list[Row] = [
    ("tower", "- {select: hidden, replace: {Dense: {units: 8}}}",
     "PC302", "{Dense: {units: 8}}", "`hidden_2` cannot read (null, 8)", "`block`"),
    ("tower", "- {select: hidden, replace: {Dens: {units: 16}}}",
     "PC303", "{Dens: {units: 16}}", "no layer class `Dens`", "`Dense`"),
    ("tower", "- {select: hidden, replace: {Dense: {units: 16, use_bais: false}}}",
     "PC303", "use_bais", "`use_bais`", "`use_bias`"),
    ("tower", "- {select: hidden, replace: {Dense: {units: -3}}}",
     "PC303", "-3", "units", ""),
    ("tower", "- {select: hidden, replace: {Dense: {activation: relu}}}",
     "PC303", "", "units", ""),
    ("tower", "- {select: hidden, replace: {Conv2D: {filters: 3, kernel_size: 3}}}",
     "PC302", "", "(null, 20)", ""),
    ("tower", "- {select: features, replace: {Dense: {units: 20}}}",
     "PC301", "{Dense: {units: 20}}", "`features` is an input", "`set`"),
    ("tower", "- {select: hidden, replace: {Dense: {units: 16, name: predictions}}}",
     "PC304", "predictions", "`predictions` is there already", "`predictions_1`"),
    ("tower", "- {select: hidden, replace: {Dense: {units: 16, name: a/b}}}",
     "PC304", "a/b", "cannot be the name", "letters"),
    ("tower", "- {select: hidden, replace: {Dense: {units: 16}}, init: {kernal: zeros}}",
     "PC305", "kernal", "`kernal` names no weight", "`kernel`"),
    ("tower", "- {select: hidden, replace: {Dense: {units: 16}}, init: {kernel: mean}}",
     "PC305", "mean", "`mean`", "`expand`"),
    ("tower", "- {select: predictions, replace: {Dense: {units: 9}}, init: {kernel: keep}}",
     "PC305", "", "no replaced weight", "Keras initialiser"),
    ("tower", "- {select: hidden, replace: {Lambda: {function: x}}}",
     "PC308", "", "Lambda", ""),
    ("siamese", "- {select: minus, replace: {Dense: {units: 4}}}",
     "PC301", "", "`minus` joins", "Concatenate"),
]
EXPAND: list[Row] = [
    ("convnet", "- {select: dropout, expand: {by: 1}}",
     "PC301", "{by: 1}", "`dropout` (Dropout) has no axis", "makes its features"),
    ("tower", "- {select: hidden, expand: {by: 1, axis: unit}}",
     "PC301", "{by: 1, axis: unit}", "no axis `unit`", "did you mean `units`?"),
    ("tower", "- {select: predictions, expand: {to: 5}}",
     "PC301", "{to: 5}", "10 entries already", "`shrink`"),
    ("tower", "- {select: predictions, expand: {by: 2, at: [0, 3, 4]}}",
     "PC107", "[0, 3, 4]", "3 places for 2", "one"),
    ("tower", "- {select: predictions, expand: {by: 1, at: 11}}",
     "PC301", "{by: 1, at: 11}", "past the end", "0 to 10"),
    ("nested", "- {select: backbone, expand: {by: 1}}",
     "PC301", "{by: 1}", "nested model", "inside"),
    ("two_heads", "- {select: trunk, expand: {by: 1}, init: {gamma: zeros}}",
     "PC305", "gamma", "`gamma` names no weight", "`kernel`"),
    ("gpt", "- {select: block_10_proj, expand: {by: 2}, init: he_normal}",
     "PC305", "he_normal", "have to be mean", "`preserve: false`"),
    ("twins", "- {select: joined, expand: {by: 1}}",
     "PC306", "{by: 1}", "`joined` cannot change", ""),
]
OTHERS: list[Row] = [
    ("mlp", "- {select: dense, init: keep}",
     "PC305", "keep", "`keep` does not go with `init`", "`replace`"),
    ("dropouts", "- {select: dropout, init: default}",
     "PC301", "dropout", "none of the selected layers has weights", "weighted: true"),
    ("tower", "- {select: hidden, init: {kernel: mean}}",
     "PC305", "mean", "mean", "`expand`"),
    ("two_heads", "- {select: both, insert_before: {Dropout: {rate: 0.1}}}",
     "PC301", "{Dropout: {rate: 0.1}}", "`from_left`, `right`", "`insert_after`"),
    ("tower", "- {select: hidden, insert_after: {Dense: {units: 9}}, init: identity}",
     "PC302", "{Dense: {units: 9}}", "`hidden_2` cannot read", ""),
    ("tower", ("- {select: hidden, insert_after: {Dense: {units: 16, activation: tanh}}, init:"
     " identity}"),
     "PC305", "identity", "has no identity", "`residual: [...]`"),
    ("tower", "- {select: 'hidden*', count: 2, insert_after: {ReLU: {name: act}}}",
     "PC304", "act", "several layers", "leave `name` out"),
    ("tower", "- {select: hidden, insert_after: {residual: [{Dense: {units: 9}}]}}",
     "PC302", "", "", ""),
    ("siamese", "- {select: shared, add_output: true}",
     "PC301", "true", "called 2 times", "call: 1"),
    ("siamese", "- {select: shared, add_output: true, call: 2}",
     "PC301", "", "no call 2", "from 0"),
    ("siamese", "- {select: enc/code, add_output: true}",
     "PC301", "true", "lies in `enc`, which is called 2 times", "nested model itself"),
    ("tower", "- {select: predictions, add_output: true}",
     "PC309", "true", "output already", "another tensor"),
    ("tower", "- {select: features, remove: true}",
     "PC301", "true", "`features` is an input", ""),
    ("siamese", "- {select: minus, remove: true}",
     "PC301", "true", "", ""),
    ("twins", "- {select: mean, remove: true}",
     "PC301", "true", "`mean` joins 2 tensors", "`block`"),
    ("convnet", "- {select: conv_1, remove: true}",
     "PC302", "true", "`bn_1` cannot read", "`block`"),
    ("mlp", "- {select: {class: Dense}, remove: true}",
     "PC309", "true", "nothing of `mlp` would be left", "keep at least one"),
    ("tower", "- {select: hidden, set: {units: 5}}",
     "PC301", "5", "`units` is not for `set`", "use `expand`"),
    ("tower", "- {select: hidden, set: {trainable: false}}",
     "PC301", "false", "`trainable`", "use `freeze`"),
    ("tower", "- {select: hidden, set: {name: other}}",
     "PC301", "other", "`name`", "use `rename`"),
    ("convnet", "- {select: [conv_1, relu_1], set: {strides: 2}}",
     "PC303", "2", "`relu_1` (ReLU) has no `strides`", "have it"),
    ("convnet", "- {select: conv_1, set: {padding: valied}}",
     "PC303", "valied", "must be one of valid, same", ""),
    ("nested", "- {select: backbone, set: {dtype: float16}}",
     "PC301", "backbone", "nested model", "inside"),
    ("tower", "- {select: {input: 0}, set: {shape: [21]}}",
     "PC302", "", "`hidden`", ""),
    ("tower", "- {select: hidden, rename: predictions}",
     "PC304", "predictions", "there already", "`predictions_1` is free"),
    ("tower", "- {select: hidden, insert_after: {copy_of: {class: Dense}}}",
     "PC202", "", "`copy_of` picks 3 layers", "one layer"),
]
# fmt: on
ROWS = [*SELECT, *REPLACE, *EXPAND, *OTHERS]


def _found(zoo: Zoo, model: str, edits: str) -> Diagnostic:
    """The one thing that is wrong."""
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo(model), patch_of(edits))
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def _marked(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    assert span is not None
    assert span.line == span.end_line
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row[1]} on {row[0]}") for row in ROWS])
def test_refusal(row: Row, zoo: Zoo) -> None:
    model, edits, code, marked, message, way_out = row
    found = _found(zoo, model, edits)
    assert (found.code, found.severity) == (code, "error"), found.message
    assert message in found.message
    assert found.message[0] != " "
    assert not found.message.endswith(".")
    assert found.help
    assert way_out in found.help
    assert _marked(found) == marked if marked else _marked(found)


def test_all_that_can_be_found_is_told_at_once(zoo: Zoo) -> None:
    edits = """
- {select: predicitons, freeze: true}
- {select: hidden, replace: {Dense: {units: 16, unit: 1, activaton: relu}}}
- {select: hiden, freeze: true}
"""
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of(edits))
    found = caught.value.diagnostics
    lines = [(d.code, d.span.line) for d in found if d.span]
    assert lines == [("PC201", 4), ("PC303", 5), ("PC303", 5), ("PC201", 6)]


def test_expectations(zoo: Zoo) -> None:
    expect = "{name: resnet50, input_shape: [null, 20], output_shape: [null, 1000]}"
    patch = patch_of("- {select: hidden, freeze: true}", expect=expect)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), patch)
    found = caught.value.diagnostics
    assert [(d.code, _marked(d)) for d in found] == [
        ("PC307", "resnet50"),
        ("PC307", "[null, 1000]"),
    ]
    assert "expected output_shape (null, 1000), found (null, 10)" in found[1].message


@pytest.mark.parametrize("row", [OTHERS[0], REPLACE[0], EXPAND[7]])
def test_nothing_is_written(row: Row, zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    with pytest.raises(patchc.PatchError):
        patchc.apply(zoo(row[0]), patch_of(row[1]), out)
    assert list(tmp_path.iterdir()) == []


def test_an_edit_that_fails_takes_the_others_with_it(zoo: Zoo, tmp_path: Path) -> None:
    edits = "- {select: hidden, freeze: true}\n- {select: hidden, expand: {by: 1, axis: depth}}"
    with pytest.raises(patchc.PatchError):
        patchc.apply(zoo("tower"), patch_of(edits), tmp_path / "out.keras")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["f c", "a/b", "ünï", ""])
def test_names_that_keras_cannot_call_a_layer(name: str, zoo: Zoo) -> None:
    edits = f"- {{select: hidden, insert_after: {{Dense: {{units: 4, name: {json.dumps(name)}}}}}}}"
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of(edits))
    assert [found.code for found in caught.value.diagnostics] == ["PC304"]


def test_a_policy_that_would_store_weights_anew(zoo: Zoo) -> None:
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of("- {select: hidden, set: {dtype: float16}}"))
    (found,) = caught.value.diagnostics
    assert found.code == "PC303"
    assert found.help == "write `mixed_float16` to compute in float16 with the same weights"


def test_an_earlier_patch_makes_it_another_file(zoo: Zoo) -> None:
    digest = hashlib.sha256(zoo("tower").read_bytes()).hexdigest()
    expect = f"{{sha256: {digest}}}"
    first = patch_of("- {select: hidden, freeze: true}", expect=expect)
    text = f"patchc: 1\nid: second\nexpect: {expect}\nedits: [{{select: hidden, freeze: true}}]"
    second = patchc.loads(text)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), [first, second])
    found = {diagnostic.code: diagnostic for diagnostic in caught.value.diagnostics}
    assert set(found) == {"PC307", "PC314"}
    assert found["PC307"].line == 3
    assert "earlier patches have changed" in found["PC307"].message


def test_an_unknown_argument_is_shown_where_its_name_stands(zoo: Zoo) -> None:
    edits = "- {select: hidden, insert_after: {Dense: {units: 2, activaton: relu}}}"
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of(edits))
    (found,) = caught.value.diagnostics
    assert _marked(found) == "activaton"
