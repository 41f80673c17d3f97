from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import patchc
from patchc.errors import PatchError
from patchc.language import Patch, load, loads
from tests.language.patch_texts import codes, people_need, with_edit

GOOD = with_edit("select: x\nfreeze: true")
LONG = """
patchc: 1
id: a
params:
  n: {type: integer, default: 2, minimum: 1, enum: [2, 3]}
expect: {output_shape: [null, 10], input_shape: [[null, 2], [3]]}
seed: 3
edits:
  - select: {head: 0, not: [a, {block: {from: x, to: [y, z]}}]}
    count: some
    expand: {by: $n, at: [1, 2], axis: units}
    init: {kernel: {constant: 1e-3}, "*": {copy: 3}}
  - select: fc
    replace:
      - Dense: {units: $n, name: "b"}
      - residual: [Flatten]
  - select: [x, y]
    shrink: {drop: [1]}
    init: sum
compile: {loss: {a: mse}}
verify: {outputs: same, probes: 3}
"""
EXAMPLES = [LONG, *people_need().values()]
PIECES = [
    *("[", "]", "{", "}", ": ", "- ", "\n", "\n  ", "#", "'", '"', "*", "&a ", "!t ", "|\n", ">"),
    *(
        "$n",
        "$",
        "$$",
        "<<: ",
        "? ",
        "null",
        "true",
        "1",
        "-1",
        ".nan",
        "1e999",
        "\t",
        "\\",
        "%",
        "@",
    ),
    *("edits", "select", "init", "expand", "params", "\x00", "\ud800", "\u2028", "\ufeff", "---\n"),
]


def outcome(text: str) -> Patch | PatchError:
    try:
        return loads(text, set_values={"classes": text[:3]})
    except PatchError as error:
        return error


def ends_in_patch_or_patch_error(text: str) -> None:
    """Anything else that is raised fails the test by itself."""
    result = outcome(text)
    if isinstance(result, PatchError):
        assert result.diagnostics
        assert [found.to_dict()["code"] for found in result.diagnostics]
        assert str(result)


@given(st.text())
def test_any_text_ends_in_a_patch_or_a_patch_error(text: str) -> None:
    ends_in_patch_or_patch_error(text)


@given(st.lists(st.sampled_from([*PIECES, "a", "x: ", "id: a\n", "patchc: 1\n"]), max_size=40))
def test_any_yaml_like_text_does_too(pieces: list[str]) -> None:
    ends_in_patch_or_patch_error("".join(pieces))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_mutated_patch_does_too(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(EXAMPLES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    ends_in_patch_or_patch_error(text)


SCALARS = st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(PIECES)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PIECES), inner),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data())
def test_any_patch_with_one_value_of_another_kind_does_too(data: st.DataObject) -> None:
    tree = yaml.safe_load(data.draw(st.sampled_from(EXAMPLES)))
    node = tree
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        below = node[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
            node[key] = data.draw(VALUES)
            break
        node = below
    ends_in_patch_or_patch_error(json.dumps(tree, ensure_ascii=False))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(PatchError) as error:
        load("missing.yaml")
    (found,) = error.value.diagnostics
    assert (found.code, found.file, found.message) == (
        "PC401",
        "missing.yaml",
        "there is no such file",
    )


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a" / "b", "nul\0byte", "x" * 5000):
        with pytest.raises(PatchError) as error:
            load(path)
        assert codes(list(error.value.diagnostics)) == ["PC401"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    with pytest.raises(PatchError, match="PC401"):
        load(path)


def test_diagnostics_carry_the_name(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("freeze", "frezee"))
    with pytest.raises(PatchError) as error:
        load(path)
    assert error.value.diagnostics[0].to_dict()["file"] == str(path)


def test_a_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).edits[0].verb_name == "freeze"


def test_a_long_patch_is_loaded() -> None:
    patch = loads(LONG)
    assert [edit.verb_name for edit in patch.edits] == ["expand", "replace", "shrink"]


def test_the_schema_is_found_in_an_installed_package(tmp_path: Path) -> None:
    package = Path(patchc.__file__).parent
    shutil.copytree(package, tmp_path / "patchc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "schemas", tmp_path / "patchc" / "schemas")
    script = f"from patchc.language import loads; print(loads({GOOD!r}).id)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("a\n", "")


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, patchc.language as language\n"
        "early = {'jsonschema', 'numpy', 'h5py', 'keras', 'tensorflow'} & set(sys.modules)\n"
        f"language.loads({GOOD!r})\n"
        "late = {'numpy', 'h5py', 'keras', 'tensorflow', 'yaml.cyaml.CLoader'} & set(sys.modules)\n"
        "sys.exit(repr((early, late)) if early or late else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
