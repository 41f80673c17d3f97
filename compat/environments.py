"""Environments: real packages of older Keras, each in a virtual environment of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOME = Path(os.environ.get("PATCHC_COMPAT", ".compat"))


@dataclass(frozen=True, slots=True)
class Environment:
    """A Keras to write or read with.

    Args:
        name: of its folder, and in the tables.
        requirements: for pip.
        module: under which this Keras is imported.
        backend: of Keras 3.
    """

    name: str
    requirements: tuple[str, ...]
    module: str = "keras"
    backend: str = "tensorflow"

    @property
    def version(self) -> tuple[int, ...]:
        """Version of Keras, for ordering."""
        return tuple(int(part) for part in self.name.rpartition("-")[2].split("."))

    @property
    def is_keras_3(self) -> bool:
        """Whether it reads `.keras` files of Keras 3."""
        return self.module == "keras" and self.version >= (3,)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return HOME / self.name / "bin" / "python"

    def make(self) -> None:
        """Set it up where it is not there yet.

        Raises:
            subprocess.CalledProcessError: pip fails.
        """
        ready = HOME / self.name / "ready"
        if ready.exists() and ready.read_text() == repr(self.requirements):
            return
        print(f"setting up {self.name}: a minute or two, the first time", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", HOME / self.name], check=True)
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.requirements], check=True)
        ready.write_text(repr(self.requirements))

    def models(self) -> tuple[Path, dict[str, str]]:
        """The folder of the models that it wrote, once, and why some could not be written.

        Raises:
            RuntimeError: `write.py` fails.
        """
        script = Path(__file__).with_name("write.py").read_bytes()
        folder = HOME / self.name / "models"
        told = folder / f"{hashlib.sha256(script).hexdigest()}.json"
        if not told.exists():
            print(f"writing models with {self.name}", file=sys.stderr)
            told.write_text(self.run("write.py", str(folder)).splitlines()[-1])
        unable: dict[str, str] = json.loads(told.read_text())
        return folder, unable

    def run(self, script: str, *arguments: str) -> str:
        """Run a script of this folder in it; returns what it prints.

        Raises:
            RuntimeError: it fails, with the end of what it said.
        """
        variables = os.environ | {
            "KERAS_BACKEND": self.backend,
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": "",
        }
        command = [str(self.python), str(Path(__file__).with_name(script)), self.module, *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{script} in {self.name}: {done.stderr[-2000:]}")
        return done.stdout


_JAX = ("jax[cpu]==0.4.30", "numpy<2", "scipy<1.14", "h5py==3.11.0", "packaging")


def _keras_3(version: str) -> Environment:
    return Environment(f"keras-{version}", (f"keras=={version}", *_JAX), backend="jax")


KERAS_3 = (
    *map(_keras_3, ("3.0.5", "3.3.3", "3.6.0", "3.9.2", "3.12.0")),
    Environment(
        "keras-3.15.1",
        ("keras==3.15.1", "jax[cpu]>=0.6", "numpy>=2", "h5py==3.14.0", "packaging"),
        backend="jax",
    ),
)
KERAS_2 = (
    Environment("keras-2.12.0", ("tensorflow-cpu==2.12.1", "keras==2.12.0")),
    Environment("keras-2.13.1", ("tensorflow-cpu==2.13.1", "keras==2.13.1")),
    Environment("keras-2.14.0", ("tensorflow-cpu==2.14.1", "keras==2.14.0")),
    Environment("keras-2.15.0", ("tensorflow-cpu==2.15.1", "keras==2.15.0")),
    Environment("tf_keras-2.21.0", ("tensorflow==2.21.0", "tf_keras==2.21.0"), module="tf_keras"),
)


def chosen(names: Sequence[str]) -> tuple[Environment, ...]:
    """The environments of these names; all of them where none is named."""
    every = (*KERAS_2, *KERAS_3)
    return tuple(e for e in every if not names or e.name in names)
