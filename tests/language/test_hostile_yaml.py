"""Hostile, broken and unlucky patch texts: each is refused, quickly, with its code."""

from __future__ import annotations

import time

import pytest

from patchc.errors import Diagnostic, PatchError
from patchc.language import loads
from patchc.language.load import load
from tests.language.patch_texts import codes

GOOD = "patchc: 1\nid: a\nedits:\n  - select: x\n    freeze: true\n"


def refused(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(PatchError) as error:
        loads(text)
    return error.value.diagnostics


MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 12)
)
ALIAS_BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "Y1 python tag": (GOOD + "why: !!python/object/apply:os.system ['id']\n", "PC003"),
    "Y1 tag directive": ("%TAG ! tag:yaml.org,2002:python/\n---\n" + GOOD, "PC003"),
    "Y1 yaml directive": ("%YAML 1.1\n---\n" + GOOD, "PC003"),
    "Y1 unknown directive": ("%FOO bar\n---\n" + GOOD, "PC003"),
    "Y1 foreign yaml version": ("%YAML 3.0\n---\n" + GOOD, "PC003"),
    "Y1 endless yaml version": (f"%YAML 1.{'9' * 5000}\n---\n" + GOOD, "PC002"),
    "Y2 local tag": (GOOD + "why: !foo x\n", "PC003"),
    "Y2 binary": (GOOD + "why: !!binary aGk=\n", "PC003"),
    "Y2 set": (GOOD + "why: !!set {a}\n", "PC003"),
    "Y2 omap": (GOOD + "why: !!omap [a: 1]\n", "PC003"),
    "Y2 timestamp": (GOOD + "why: !!timestamp 2026-01-01\n", "PC003"),
    "Y2 verbatim tag": (GOOD + "why: !<tag:yaml.org,2002:str> x\n", "PC003"),
    "Y2 non-specific tag": (GOOD + "why: ! x\n", "PC003"),
    "Y2 tag on a key": (GOOD + "!x why: x\n", "PC003"),
    "Y2 tag on the root": ("!x\n" + GOOD, "PC003"),
    "Y3 alias bomb": (ALIAS_BOMB, "PC003"),
    "Y4 recursive alias": (GOOD + "why: &a [*a]\n", "PC003"),
    "Y4 alias as key": (GOOD + "? *a\n: x\n", "PC003"),
    "Y5 merge key": (GOOD + "<<: {a: 1}\n", "PC003"),
    "Y5 merge bomb": (MERGE_BOMB, "PC003"),
    "Y6 duplicate key": (GOOD + "id: b\n", "PC004"),
    "Y7 equal keys of other types": (GOOD + "why: {1: a, 1.0: b, true: c}\n", "PC007"),
    "Y8 norway": (GOOD.replace("true", "NO"), "PC103"),
    "Y9 infinite": (GOOD + "seed: 1.0e+999999\n", "PC007"),
    "Y9 nan": (GOOD + "seed: .nan\n", "PC007"),
    "Y9 underscores": (GOOD + "seed: 1_000\n", "PC103"),
    "Y9 sexagesimal": (GOOD + "seed: 1:30\n", "PC103"),
    "Y10 huge int": (GOOD + f"seed: {'9' * 5000}\n", "PC007"),
    "Y10 huge hex": (GOOD + f"seed: 0x{'f' * 5000}\n", "PC007"),
    "Y10 int out of range": (GOOD + f"seed: {2**63}\n", "PC104"),
    "Y12 date": (GOOD + "seed: 2026-13-45\n", "PC103"),
    "Y13 bool tag": (GOOD + "seed: !!bool foo\n", "PC003"),
    "Y13 int tag": (GOOD + "seed: !!int foo\n", "PC003"),
    "Y13 equals sign": (GOOD + "seed: =\n", "PC103"),
    "Y13 escape beyond unicode": (GOOD + 'description: "\\UFFFFFFFF"\n', "PC002"),
    "Y14 brackets": ("[" * 200_000, "PC006"),
    "Y14 braces": ("{a: " * 200_000, "PC006"),
    "Y14 dashes": ("- " * 3000, "PC006"),
    "Y14 complex keys": ("? " * 3000, "PC006"),
    "Y14 bracket keys": ("{" * 3000, "PC006"),
    "Y15 size": (GOOD + "#" * (1 << 20), "PC006"),
    "Y15 many keys": ("".join(f"k{i}: {i}\n" for i in range(80_000)), "PC006"),
    "Y15 many numbers": (GOOD + "requires: [" + "1," * 500_000 + "]", "PC006"),
    "Y17 lone surrogate": (GOOD + 'description: "\\ud800"\n', "PC007"),
    "Y17 surrogate in the text": (GOOD + "description: \ud800\n", "PC001"),
    "Y17 surrogate in a key": (GOOD + '"\\udfff": 1\n', "PC007"),
    "Y18 bidi override": (GOOD.replace("x", "\u202ex"), "PC001"),
    "Y18 bidi override, escaped": (GOOD.replace("x", '"\\u202ex"'), "PC007"),
    "Y18 zero width": (GOOD.replace("x", "a\u200bb"), "PC001"),
    "Y18 zero width, escaped": (GOOD.replace("x", '"a\\u200bb"'), "PC007"),
    "Y18 nul": (GOOD.replace("x", "a\0b"), "PC001"),
    "Y18 nul, escaped": (GOOD.replace("x", '"a\\0b"'), "PC007"),
    "Y18 escape character": (GOOD.replace("x", '"\\e[31m"'), "PC007"),
    "Y18 byte order mark inside": (GOOD.replace("x", "\ufeffx"), "PC001"),
    "Y19 tab": (GOOD.replace("    freeze", "\tfreeze"), "PC002"),
    "Y19 next line": (GOOD.replace("\n", "\x85"), "PC001"),
    "Y19 line separator": (GOOD.replace("\n", "\u2028"), "PC001"),
    "Y19 lone carriage return": (GOOD.replace("\n", "\r"), "PC001"),
    "Y20 two documents": (GOOD + "---\n" + GOOD, "PC005"),
    "Y20 empty": ("", "PC005"),
    "Y20 only a comment": ("# nothing\n", "PC005"),
    "Y20 an empty document": ("---\n", "PC005"),
    "Y20 scalar": ("hello", "PC005"),
    "Y20 list": ("- patchc: 1\n", "PC005"),
    "Y20 text after the end": (GOOD + "...\ngarbage\n", "PC002"),
    "Y21 unknown key": (GOOD + "weigths: 1\n", "PC101"),
    "Y22 wrong type": (GOOD + 'seed: "64"\n', "PC103"),
    "Y22 bool for int": (GOOD + "seed: true\n", "PC103"),
    "Y22 float for int": (GOOD + "seed: 2.0\n", "PC103"),
    "Y23 out of range": (GOOD + "seed: -1\n", "PC104"),
    "P6 output path": (GOOD + "output: /etc/passwd\n", "PC101"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_its_code(name: str) -> None:
    text, code = CASES[name]
    start = time.process_time()
    found = refused(text)
    assert time.process_time() - start < 5
    assert code in codes(list(found))
    assert all(diagnostic.span or diagnostic.code == "PC006" for diagnostic in found)


@pytest.mark.parametrize(
    "data",
    [GOOD.encode("utf-16"), GOOD.encode("utf-32"), GOOD.encode() + b"#\xe9\n", b"\xff", b"\0"],
)
def test_other_encodings_are_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("encoding") / "p.yaml"
    path.write_bytes(data)
    with pytest.raises(PatchError) as error:
        load(path)
    assert set(codes(list(error.value.diagnostics))) == {"PC001"}


def test_only_as_much_is_read_as_is_needed() -> None:
    with pytest.raises(PatchError, match="PC006"):
        load("/dev/zero")
