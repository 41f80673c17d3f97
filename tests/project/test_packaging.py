"""What an installation without TensorFlow holds, and that it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import Zoo

ROOT = Path(__file__).parents[2]
PATCH = """\
patchc: 1
id: two-more
edits:
  - select: {head: 0}
    expand: {by: 2}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built with the build back end of the test environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True)
    (path,) = folder.glob("patchc-*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def light(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that holds the wheel and the packages that it requires, no others."""
    folder = tmp_path_factory.mktemp("site")
    wheel.extractall(folder)
    for name in sorted(_required(wheel)):
        found = distribution(name)
        for part in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            target = folder / part
            if not target.exists():
                target.symlink_to(str(found.locate_file(part)))
    return {**os.environ, "PYTHONPATH": str(folder)}


def _required(wheel: zipfile.ZipFile) -> set[str]:
    """Names of the distributions that an installation without extras brings."""
    pending = _metadata(wheel).get_all("Requires-Dist", [])
    names: set[str] = set()
    while pending:
        requirement = Requirement(pending.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in names:
            names.add(requirement.name)
            pending += distribution(requirement.name).requires or []
    return names


def _metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def _run(light: dict[str, str], folder: Path, code: str, *arguments: str) -> str:
    """Run code with the wheel; `-S` hides everything else that is installed."""
    command = [sys.executable, "-S", "-c", code, *arguments]
    done = subprocess.run(
        command, check=False, env=light, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _patchc(light: dict[str, str], folder: Path, *arguments: str) -> str:
    return _run(light, folder, "from patchc.cli import main; main()", *arguments)


def test_the_wheel_holds_the_package_its_schemas_and_its_licence(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())

    schemas = {f"patchc/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "patchc").rglob("*.py")}
    assert schemas
    assert schemas | modules | {"patchc/py.typed"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0].split("-")[0] for name in wheel.namelist()}

    assert folders == {"patchc"}


def test_keras_is_not_required(wheel: zipfile.ZipFile) -> None:
    assert _required(wheel).isdisjoint({"keras", "tensorflow", "h5py"})


def test_the_wheel_is_what_runs(light: dict[str, str], tmp_path: Path) -> None:
    where = _run(light, tmp_path, "import patchc; print(patchc.__file__)")

    assert Path(where).is_relative_to(light["PYTHONPATH"])


@pytest.mark.parametrize("name", ["keras", "tensorflow", "h5py", "pytest"])
def test_a_light_installation_has_no_keras(
    light: dict[str, str], tmp_path: Path, name: str
) -> None:
    code = f"import importlib.util as u; print(u.find_spec({name!r}))"

    assert _run(light, tmp_path, code) == "None\n"


def test_a_light_installation_reads_its_schemas(light: dict[str, str], tmp_path: Path) -> None:
    schema = json.loads(_patchc(light, tmp_path, "schema", "patch"))

    assert schema == json.loads((ROOT / "schemas" / "patch.v1.schema.json").read_text())


def test_a_light_installation_patches_files(
    light: dict[str, str], tmp_path: Path, zoo: Zoo
) -> None:
    base = str(zoo("mlp"))
    (tmp_path / "patch.yaml").write_text(PATCH)

    _patchc(light, tmp_path, "validate", "patch.yaml")
    _patchc(light, tmp_path, "inspect", base)
    _patchc(light, tmp_path, "plan", base, "patch.yaml")
    _patchc(light, tmp_path, "apply", base, "patch.yaml", "-o", "out.keras")
    _patchc(light, tmp_path, "verify", base, "out.keras", "patch.yaml")

    import keras

    assert keras.models.load_model(tmp_path / "out.keras").output_shape == (None, 12)
