"""Pages that are made when the site is built, from what the program knows.

Gallery, schemas, commands and codes; MkDocs calls `on_config` and `on_files`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs runs this file outside the project


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from what the program knows."""
    from mkdocs.structure.files import File  # noqa: PLC0415 (the functions below do without)

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Pages that the navigation does not name come behind those that it does."""
    listed = json.dumps(config.nav)
    behind = [
        {_title(path): path.name}
        for path in sorted((ROOT / "docs").glob("*.md"))
        if f'"{path.name}"' not in listed
    ]
    config.nav = [*(config.nav or []), *behind]
    return config


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def pages() -> dict[str, str]:
    """Path and text of every page that is made."""
    return {
        "how-to.md": "\n".join(_how_to()),
        "reference/patch.md": "\n".join(_patch()),
        "reference/commands.md": "\n".join(_commands()),
        "reference/output.md": "\n".join(_output()),
        "reference/errors.md": "\n".join(_errors()),
    }


# ------------------------------------------------------------------------ the gallery


def _how_to() -> Iterator[str]:
    yield "# How to"
    yield "\nEvery patch here stands in `patches/` and is run by a test. Change what it says under"
    yield '"For your model", look at the plan, and apply it:\n'
    yield "```sh\npatchc plan model.keras patch.yaml"
    yield "patchc apply model.keras patch.yaml -o out.keras\n```"
    for path in sorted((ROOT / "patches").glob("*.yaml")):
        comments, patch = _split(path.read_text(encoding="utf-8"))
        question, *rest = comments
        yield f"\n## {question}\n"
        yield from rest
        yield f"\n```yaml\n{patch}```"


def _split(text: str) -> tuple[list[str], str]:
    """The comment at the head of a patch, without the line for editors, and the patch."""
    head, _, body = text.partition("patchc: 1\n")
    lines = [line.removeprefix("#").strip() for line in head.splitlines()]
    told = [line for line in lines if not line.startswith("yaml-language-server")]
    while told and not told[0]:
        told.pop(0)
    return _joined(told), f"patchc: 1\n{body}"


def _joined(lines: list[str]) -> list[str]:
    """The question in one line, though it may be broken; the other lines as they are."""
    end = lines.index("") if "" in lines else len(lines)
    return [" ".join(lines[:end]), *lines[end:]]


# ------------------------------------------------------------------------ the schemas


def _schema(name: str) -> dict[str, Any]:
    text = (ROOT / "schemas" / f"{name}.v1.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _patch() -> Iterator[str]:
    schema = _schema("patch")
    yield "# Patches\n\nEvery key of a patch, from the JSON Schema that editors read"
    yield "(`patchc schema patch` prints it)."
    yield "\n## Top-level keys\n"
    yield from _keys(schema["properties"], set(schema["required"]))
    for name, found in schema["definitions"].items():
        if "properties" in found:
            title = found.get("title", name.replace("_", " "))
            yield f"\n## {title[:1].upper()}{title[1:]}\n"
            if "description" in found:
                yield f"{found['description']}\n"
            yield from _keys(found["properties"], set(found.get("required", ())))


def _output() -> Iterator[str]:
    yield "# Output for programs\n\nWhat the commands print with `--format json`. A larger number"
    yield "behind the dot of `format_version` only adds keys. `patchc schema plan` and"
    yield "`patchc schema report` print the JSON Schemas."
    for schema_name in ("plan", "report"):
        schema = _schema(schema_name)
        parts = {schema["title"]: schema} | schema.get("definitions", {})
        for name, found in parts.items():
            if "properties" in found:
                yield f"\n## {schema_name}: {name.replace('_', ' ')}\n"
                yield f"{found.get('description', '')}\n"
                yield from _keys(found["properties"], set(found.get("required", ())))


def _keys(properties: Mapping[str, Any], required: set[str]) -> Iterator[str]:
    yield "| key | meaning | example |"
    yield "|---|---|---|"
    for key, found in properties.items():
        needed = " **Required.**" if key in required else ""
        told = _cell(found.get("description", "")) + needed
        example = found["examples"][0] if found.get("examples") else None
        shown = "" if example is None else f"`{_cell(json.dumps(example, ensure_ascii=False))}`"
        yield f"| `{key}` | {told} | {shown} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# ----------------------------------------------------------------------- the commands


def _commands() -> Iterator[str]:
    from patchc.cli import COMMANDS  # noqa: PLC0415 (after the path is set)

    yield "# Commands\n\nExit codes: 0 done; 1 refused, failed, or something does not hold;"
    yield "2 wrong usage; 130 and 143 after a signal, cleaned up. Results go to stdout, progress"
    yield "and messages to stderr."
    yield f"\n```text\n{_help()}\n```"
    for name in COMMANDS:
        yield f"\n## {name}\n\n```text\n{_help(name)}\n```"


def _help(*command: str) -> str:
    """The help of a command, as it is printed on a terminal of 96 columns."""
    plain = {**os.environ, "COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "patchc", *command, "--help"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=plain,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def _errors() -> Iterator[str]:
    from patchc.codes import CODES  # noqa: PLC0415 (after the path is set)

    yield "# Errors and warnings\n\nEvery message has a code that never changes its meaning;"
    yield "`patchc explain CODE` says the same as this page. PC0xx: YAML, PC1xx: schema, PC2xx:"
    yield "selectors, PC3xx: the patch and the model, PC4xx: files, PC5xx: checks, PC9xx: warnings."
    for name, code in CODES.items():
        yield f"\n## {name} {code.title}\n\n{code.explanation.replace('Example:', '<br>Example:')}"
