"""What the README shows, made anew: `python -m tests.project.readme` writes it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PATCH = ROOT / "demo" / "add_digits.yaml"


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prepare(folder: Path) -> None:
    """Put the patch and the model that the README speaks of into a folder."""
    import keras
    import numpy as np

    from demo import digits

    shutil.copy(PATCH, folder)
    keras.utils.clear_session()
    model = digits.build(keras)
    model.fit(np.zeros((4, 8, 8, 1)), np.zeros(4), verbose=0)
    model.save(folder / "digits.keras")


def refreshed(text: str, folder: Path) -> str:
    """The README with the patch and the output of its commands, run in a folder."""
    text = _filled(text, "yaml", lambda _: PATCH.read_text())
    return _filled(text, "console", lambda block: _session(block, folder))


def _filled(text: str, language: str, contents: Callable[[str], str]) -> str:
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda found: f"```{language}\n{contents(found[1])}```", text)


def _session(block: str, folder: Path) -> str:
    command, _, _ = block.partition("\n")
    program, *arguments = shlex.split(command.removeprefix("$ "))
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts"), program), *arguments],
        check=False,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return f"{command}\n{done.stdout.rstrip()}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        README.write_text(refreshed(README.read_text(), Path(folder)))


if __name__ == "__main__":
    main()
