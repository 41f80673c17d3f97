"""A patch as YAML text, as a person would write it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_WIDTH = 96
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NO_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def patch_text(keys: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The whole patch: comments, top-level keys, and one item for each edit."""
    lines = [*(f"# {line}".rstrip() for line in comments)]
    for key, value in keys.items():
        if key == "edits":
            lines.append("edits:")
            lines += [line for edit in value for line in _edit(edit)]
        elif isinstance(value, Mapping) and len(flow({key: value})) > _WIDTH:
            lines.append(f"{key}:")
            lines += [f"  {flow(name)}: {flow(item)}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def _edit(edit: Mapping[str, Any]) -> Iterator[str]:
    lead = "  - "
    for key, value in edit.items():
        line = f"{lead}{key}: {flow(value)}"
        if len(line) <= _WIDTH or not isinstance(value, (list, Mapping)):
            yield line
        else:
            yield f"{lead}{key}:"
            yield from _block(value, "      ")
        lead = "    "


def _block(value: Sequence[Any] | Mapping[str, Any], indent: str) -> Iterator[str]:
    """A list or mapping, one entry per line; entries that are still too long are broken up."""
    pairs = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in pairs:
        lead = f"{indent}- " if key is None else f"{indent}{flow(key)}: "
        long = len(lead) + len(flow(item)) > _WIDTH
        if long and key is not None and isinstance(item, (list, Mapping)):
            yield lead.rstrip()
            yield from _block(item, f"{indent}  ")
        else:
            yield f"{lead}{flow(item)}"


def flow(value: Any) -> str:
    """A value in one line: `{Dense: {units: 3}}`, `[1, 2]`, `dense_1`."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{flow(k)}: {flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _text(value)
    return str(value)


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"


def _text(value: str) -> str:
    """A plain scalar where YAML reads it as the same text, else in quotes; `$` is doubled."""
    doubled = value.replace("$", "$$") if value.startswith("$") else value
    if _PLAIN.fullmatch(doubled) and doubled.lower() not in _NO_TEXT:
        return doubled
    return json.dumps(doubled)
