"""Vocabularies that Keras stores as files follow their layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.judge import Judged, assert_close, judge, outputs, patch_of, sample
from tests.conftest import Zoo


def _assert_vocabularies(judged: Judged, *names: str) -> None:
    for name in names:
        old, new = (m.get_layer(name).get_vocabulary() for m in (judged.base, judged.result))
        assert new == old
        assert len(new) > 600


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param("- {select: kind, expand: {by: 1}}", id="nothing of theirs changes"),
        pytest.param("- {select: bodies, rename: abstracts}", id="rename one"),
        pytest.param("- {select: [body_vectors, title_vectors], truncate: true}", id="exchange"),
        pytest.param("- {select: title_vectors, add_output: true}", id="a further output"),
    ],
)
def test_vocabulary_follows(zoo: Zoo, tmp_path: Path, edits: str) -> None:
    judged = judge(zoo("lookups"), patch_of(edits), tmp_path)
    renamed = "rename" in edits
    _assert_vocabularies(judged, "titles", *(() if renamed else ("bodies",)))
    if renamed:
        new = judged.result.get_layer("abstracts").get_vocabulary()
        assert new == judged.base.get_layer("bodies").get_vocabulary()


def test_the_one_that_is_left_takes_the_first_place(zoo: Zoo, tmp_path: Path) -> None:
    """string_lookup_1 becomes string_lookup, and with it the folder of its file."""
    judged = judge(zoo("lookups"), patch_of("- {select: body_vectors, truncate: true}"), tmp_path)
    _assert_vocabularies(judged, "bodies")
    folder = "assets/layers/string_lookup"
    assert judged.plan.assets == {
        f"{folder}/vocabulary.txt": f"{folder}_1/vocabulary.txt",
    }
    assert [tensor.shape for tensor in judged.result.inputs] == [(None,)]


def test_exchanged_outputs_exchange_the_files(zoo: Zoo, tmp_path: Path) -> None:
    edits = "- {select: [body_vectors, title_vectors], truncate: true}"
    judged = judge(zoo("lookups"), patch_of(edits), tmp_path)
    first, second = (f"assets/layers/string_lookup{n}/vocabulary.txt" for n in ("", "_1"))
    assert judged.plan.assets == {first: second, second: first}
    given = sample(judged.base)
    parts = outputs(judged.result, given)
    assert [part.shape for part in parts] == [(2, 4), (2, 4)]
    base = judged.base
    for part, name in zip(parts, ("bodies", "titles"), strict=True):
        vectors = {"bodies": "body_vectors", "titles": "title_vectors"}[name]
        text = given[1] if name == "bodies" else given[0]
        expected = base.get_layer(vectors)(base.get_layer(name)(text)).numpy()
        assert_close(part, expected, 0)


def test_a_vocabulary_in_the_configuration_stays(zoo: Zoo, tmp_path: Path) -> None:
    judged = judge(zoo("text"), patch_of("- {select: {head: 0}, expand: {by: 1}}"), tmp_path)
    old, new = (m.get_layer("string_lookup").get_vocabulary() for m in (judged.base, judged.result))
    assert new == old == ["[UNK]", "a", "b", "c"]
