"""What README and documentation show, made anew: `python -m tests.project.readme` writes it.

A block `console` holds commands behind `$ ` and what they print.  A block
`yaml` whose first line is `# NAME.yaml` is a file that they find.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PATCH = ROOT / "demo" / "add_digits.yaml"


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prepare(folder: Path) -> None:
    """Put the patch and the models that README and documentation speak of into a folder."""
    import keras
    import numpy as np

    from demo import digits

    shutil.copy(PATCH, folder)
    keras.utils.clear_session()
    model = digits.build(keras)
    model.fit(np.zeros((4, 8, 8, 1)), np.zeros(4), verbose=0)
    model.save(folder / "digits.keras")
    model.save(folder / "model.h5")
    shutil.copy(PATCH, folder / "patch.yaml")


def refreshed(text: str, folder: Path) -> str:
    """The page with its patches and the output of its commands, run in a folder in order."""
    fill = {"yaml": _file, "console": _session, "sh": _quietly}
    pattern = re.compile(r"^```(yaml|console|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda m: f"```{m[1]}\n{fill[m[1]](m[2], folder)}```", text)


def _file(block: str, folder: Path) -> str:
    """A patch; the one of the demonstration is shown as it is there."""
    first, _, _ = block.partition("\n")
    named = re.fullmatch(r"# ([\w.-]+\.yaml)", first)
    if named is None:
        return PATCH.read_text() if "id: add-digits" in block else block
    if named[1] == PATCH.name:
        return f"{first}\n{PATCH.read_text()}"
    (folder / named[1]).write_text(block)
    return block


def _quietly(block: str, folder: Path) -> str:
    """Commands whose output is not shown: those of patchc have to succeed."""
    for line in block.splitlines():
        if line.startswith("patchc "):
            command, _, target = line.partition(" > ")
            done = _run(command, folder)
            assert done.returncode == 0, done.stdout
            if target:
                (folder / target).write_text(done.stdout)
    return block


def _session(block: str, folder: Path) -> str:
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return "".join(_shown(command, folder) for command in commands)


def _shown(command: str, folder: Path) -> str:
    printed = _run(command, folder).stdout.rstrip()
    return f"$ {command}\n{printed}\n" if printed else f"$ {command}\n"


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command, comments=True)
    own = Path(sysconfig.get_path("scripts"), program)
    return subprocess.run(
        [own if own.exists() else program, *arguments],
        check=False,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as start:
        prepare(Path(start))
        for page in (README, *DOCS):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(start, folder, dirs_exist_ok=True)
                page.write_text(refreshed(page.read_text(), Path(folder)))


if __name__ == "__main__":
    main()
