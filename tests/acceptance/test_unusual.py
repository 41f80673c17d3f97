"""A few edits on models that are put together in unusual ways."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.acceptance.judge import assert_same_function, judge, patch_of
from tests.conftest import Zoo

FIRST, LAST = "{weighted: true, first: 1}", "{weighted: true, last: 1}"
SAME = [
    "- {select: '*', freeze: true}",
    "- {select: LAST, rename: another}",
    "- {select: LAST, insert_before: {Dropout: {rate: 0.1}}}",
    "- {select: LAST, insert_after: {BatchNormalization: {}}, init: identity}",
    "- {select: LAST, insert_after: {residual: [{Dense: {units: SIZE}}]}, init: identity}",
]
OTHERS = [
    "- {select: FIRST, init: default}",
    "- {select: LAST, replace: {Dense: {units: 3, name: fresh}}}",
    "- {select: LAST, add_output: {Dense: {units: 2, name: extra}}}",
    "- {select: {output: 0}, insert_after: {Dense: {units: 5}}}",
    "- {select: LAST, remove: true}",
]
"""The last four change what the model puts out."""
MODELS = {
    "built_later": 3,
    "built_from_tokens": 3,
    "states": 2,
    "scores": 2,
    "dict_inside": 2,
    "list_inside": 2,
    "many_operations": 2,
    "measured": 2,
    "on_itself": 2,
}
"""Features of each model's last layer with weights."""


def _filled(edit: str, model: str) -> str:
    """An edit with what its capital words stand for."""
    words = {"FIRST": FIRST, "LAST": LAST, "SIZE": str(MODELS[model])}
    for word, text in words.items():
        edit = edit.replace(word, text)
    return edit


@pytest.mark.parametrize("edit", SAME)
@pytest.mark.parametrize("model", MODELS)
def test_same_function(zoo: Zoo, tmp_path: Path, model: str, edit: str) -> None:
    assert_same_function(judge(zoo(model), patch_of(_filled(edit, model)), tmp_path))


@pytest.mark.parametrize("edit", OTHERS)
@pytest.mark.parametrize("model", MODELS)
def test_another_function(zoo: Zoo, tmp_path: Path, model: str, edit: str) -> None:
    judged = judge(zoo(model), patch_of(_filled(edit, model)), tmp_path)
    assert not judged.plan.is_empty


@pytest.mark.parametrize(
    "edits",
    [
        "- {select: d, rename: another}",
        "- {select: d, insert_after: {Dropout: {rate: 0.1}}}",
        "- {select: {input: 0}, insert_after: {Dropout: {rate: 0.1}}}",
        "- {select: d, freeze: true}",
    ],
)
def test_an_input_that_goes_out(zoo: Zoo, tmp_path: Path, edits: str) -> None:
    assert_same_function(judge(zoo("input_goes_out"), patch_of(edits), tmp_path), 0)


def test_patches_together_are_patches_in_turn(zoo: Zoo, tmp_path: Path) -> None:
    """One transaction of two patches gives the file that one after the other give."""
    import patchc

    texts = {
        "first": "- {select: hidden, insert_after: {Dense: {units: 16, name: extra}}}",
        "second": "- {select: extra, freeze: true}\n- {select: {head: 0}, expand: {by: 1}}",
    }
    patches = [
        patchc.loads(
            f"patchc: 1\nid: {name}\nedits:\n" + "".join(f"  {e}\n" for e in text.split("\n"))
        )
        for name, text in texts.items()
    ]
    together, half, turn = (tmp_path / f"{name}.keras" for name in ("together", "half", "turn"))
    patchc.apply(zoo("tower"), patches, together)
    patchc.apply(zoo("tower"), patches[0], half)
    patchc.apply(half, patches[1], turn)
    one, two = zipfile.ZipFile(together), zipfile.ZipFile(turn)
    for member in ("config.json", "model.weights.h5"):
        assert one.read(member) == two.read(member)
    histories = [patchc.log(path).history for path in (together, turn)]
    assert [[a.id for a in history] for history in histories] == [["second", "first"]] * 2
    assert histories[0][1] == histories[1][1]
    assert [history[0].base for history in histories] == [
        patchc.log(zoo("tower")).contents,  # both patches were applied to that
        patchc.log(half).contents,
    ]
