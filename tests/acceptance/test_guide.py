"""The patches that people need: each works, or is refused as the guide says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import patchc
from tests.acceptance.judge import judge
from tests.conftest import Zoo

SHARED = Path(__file__).parents[3] / "shared"
GUIDE = SHARED / "guides" / "patches-people-need.md"
TRAINED = SHARED / "models" / "bt-keras" / "model.keras"

REFUSED = {
    "P10": ("PC106", "unknown strategy `from`"),
    "P25": ("PC103", "`rename` is a mapping"),
    "P55": ("PC302", "`fc2`"),
}
"""Patches that are refused for good."""
LINTS = {"S06": "PC903", "S12": "PC901"}
MODELS = {
    "S:seq10": "mlp",
    "S:fn10": "tower",
    "S:drop": "dropouts",
    "X:maskrcnn": "detector",
    "X:yolo": "anchors",
    "X:text": "text",
    "X:siamese": "siamese",
    "X:gpt": "gpt",
    "a Sequential of two nested models": "two_parts",
    "VGG16": "vgg16",
    "VGG16N": "vgg16_features",
    "RESNET": "resnet50",
    "RESNETN": "resnet50_features",
    "INCN": "inception_features",
    "MNV2SEQ": "mobilenet",
}
LARGE = frozenset({"vgg16", "vgg16_features", "resnet50", "resnet50_features", "mobilenet"}) | {
    "inception_features"
}
"""Models for which Keras takes long; the gallery has it judge the same situations."""
NARROW = {"units: 4096": "units: 512"}
"""The VGG16 of the zoo has an eighth of the units."""


def _patches() -> dict[str, tuple[str, str]]:
    """Model and text by name; empty where the guide is not there."""
    if not GUIDE.exists():
        return {}
    pattern = r"\*\*(\w+)\*\* on ([^\n:,]*(?::\w+)?)[^\n]*\n```yaml\n(.*?)```"
    found = re.findall(pattern, GUIDE.read_text("utf-8"), re.DOTALL)
    return {name: (MODELS[model.strip()], text) for name, model, text in found}


PATCHES = _patches()
needs_guide = pytest.mark.skipif(not PATCHES, reason="../shared/guides is not there")


def _load(name: str) -> patchc.language.patch.Patch:
    text = PATCHES[name][1]
    for original, narrow in NARROW.items():
        text = text.replace(original, narrow)
    return patchc.loads(text, f"{name}.yaml", {"classes": "7"} if name == "S11" else None)


@needs_guide
def test_the_whole_guide_is_read() -> None:
    assert len(PATCHES) == GUIDE.read_text("utf-8").count("```yaml")
    assert PATCHES.keys() >= REFUSED.keys() | LINTS.keys()


@needs_guide
@pytest.mark.parametrize("name", sorted(PATCHES.keys() - REFUSED.keys()))
def test_patch(name: str, zoo: Zoo, tmp_path: Path) -> None:
    model, patch = PATCHES[name][0], _load(name)
    if model not in LARGE:
        plan = judge(zoo(model), patch, tmp_path).plan
    else:
        out = tmp_path / "out.keras"
        plan = patchc.apply(zoo(model), patch, out, digest=False).plan
        assert patchc.verify(zoo(model), out, patch).ok
        out.unlink()
    codes = {warning.code for warning in plan.warnings} - {"PC906"}
    assert codes == {LINTS[name]} - {None} if name in LINTS else codes == set()


@needs_guide
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str, zoo: Zoo) -> None:
    code, says = REFUSED[name]
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(zoo(PATCHES[name][0]), _load(name))
    (found,) = caught.value.diagnostics
    assert (found.code, says in found.message) == (code, True), found.message
    assert found.help or code == "PC103"
    assert found.span is not None


@pytest.mark.skipif(not TRAINED.exists(), reason="../shared/models is not there")
def test_a_published_model(tmp_path: Path) -> None:
    """Trained for a million steps, by Keras 3.5; the state of its optimizer goes on."""
    patch = patchc.loads(
        "patchc: 1\nid: wider\nedits:\n  - select: {class: Dense, nth: 0}\n    expand: {by: 3}\n"
    )
    judged = judge(TRAINED, patch, tmp_path)
    steps = judged.result.optimizer.iterations
    assert int(steps) == int(judged.base.optimizer.iterations) > 1_000_000
    assert judged.report.plan.optimizer.counts()["dropped"] == 0
