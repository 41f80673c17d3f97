"""Parameters: what `params` declares, what `--set` gives, and where `$name` stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from patchc.errors import Diagnostic, Span
from patchc.language.scalars import FORBIDDEN, resolve
from patchc.language.schema import first_line, near
from patchc.language.source import Document, Path

__all__ = ["Filled", "fill_in"]

_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
}
_SCALARS = (str, int, float, bool)
_PROSE = ("description", "why")


@dataclass(frozen=True, slots=True)
class Filled:
    """A document in which values stand for `$name`.

    Args:
        document: with the problems of parameters among its own.
        values: the value of each parameter.
        warnings: parameters without effect.
    """

    document: Document
    values: Mapping[str, Any]
    warnings: tuple[Diagnostic, ...]


def fill_in(document: Document, settings: Mapping[str, str]) -> Filled:
    """Put the value of each parameter where its `$name` stands.

    Args:
        settings: what `--set` gave, as text.

    The text `$$x` becomes `$x`.  Places stay those of the `$name`.
    """
    filling = _Filling(document, settings)
    data = {
        key: value if key in ("patchc", "params") else filling.replaced(value, (key,))
        for key, value in document.data.items()
    }
    filled = replace(
        document,
        data=data,
        problems=(*document.problems, *filling.problems),
        broken=document.broken | filling.broken,
    )
    return Filled(filled, filling.values, tuple(filling.warnings()))


class _Filling:
    def __init__(self, document: Document, settings: Mapping[str, str]) -> None:
        declared = document.data.get("params")
        self.document = document
        self.declared: Mapping[str, Any] = declared if isinstance(declared, dict) else {}
        self.problems: list[Diagnostic] = list(self._undeclared(settings))
        self.broken: set[Path] = set()
        self.used: set[str] = set()
        self.inside: list[tuple[str, Span]] = []
        self.values: dict[str, Any] = {}
        for name, declaration in self.declared.items():
            self._declare(name, declaration, settings)

    # ------------------------------------------------------------ declarations

    def _undeclared(self, settings: Mapping[str, str]) -> Iterator[Diagnostic]:
        span = self.document.key_spans.get(("params",), first_line(self.document.spans[()]))
        for name in settings:
            if name not in self.declared:
                message = f"`{name}` is set, but the patch does not declare it"
                hint = near(name, self.declared) or "declare it under `params`"
                yield Diagnostic("PC108", message, span, hint)

    def _declare(self, name: str, declaration: Any, settings: Mapping[str, str]) -> None:
        path: Path = ("params", name)
        if not _is_usable(declaration) or self.document.is_broken(path):
            return  # the schema, or whoever found it broken, says what is wrong
        unfit = list(self._unfit(declaration, path))
        self.problems += unfit
        if name in settings:
            self._set(name, declaration, settings[name])
        elif "default" not in declaration:
            hint = f"set it with --set {name}=VALUE, or declare a default"
            self._problem(f"the parameter `{name}` has no value", path, hint)
        elif not unfit and isinstance(declaration["default"], _SCALARS):
            self.values[name] = declaration["default"]

    def _unfit(self, declaration: Mapping[str, Any], path: Path) -> Iterator[Diagnostic]:
        """What in a declaration contradicts the rest of it."""
        kind = declaration["type"]
        for bound in ("minimum", "maximum"):
            if bound in declaration and kind in ("string", "boolean"):
                message = f"`{bound}` has no meaning for the type `{kind}`"
                yield Diagnostic("PC108", message, self.document.key_spans[*path, bound])
        for index, value in enumerate(declaration.get("enum", ())):
            if isinstance(value, _SCALARS) and not _has_type(value, kind):
                message = f"`{_shown(value)}` in `enum` is not of type `{kind}`"
                span = self.document.spans[*path, "enum", index]
                yield Diagnostic("PC108", message, span)
        default = declaration.get("default")
        if isinstance(default, _SCALARS) and (why := _misfit(default, declaration)):
            span = self.document.spans[*path, "default"]
            yield Diagnostic("PC108", f"the default of `{path[1]}`: {why}", span)

    def _set(self, name: str, declaration: Mapping[str, Any], text: str) -> None:
        path: Path = ("params", name)
        kind = declaration["type"]
        try:
            value = text if kind == "string" else resolve(text.strip())
        except ValueError as error:
            self._problem(f"--set {name}: {error}", path)
            return
        if FORBIDDEN.search(text):
            self._problem(f"--set {name}: a control or invisible character", path)
        elif why := _misfit(value, declaration):
            self._problem(f"--set {name}: {why}", path)
        else:
            self.values[name] = value

    def _problem(self, message: str, path: Path, hint: str | None = None) -> None:
        self.problems.append(Diagnostic("PC108", message, self.document.key_spans[path], hint))

    # ------------------------------------------------------------ substitution

    def replaced(self, value: Any, path: Path) -> Any:
        """The value at `path` with each `$name` in it replaced."""
        if isinstance(value, dict):
            return {key: self.replaced(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replaced(item, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if value.startswith("$$"):
            return value[1:]
        if value.startswith("$"):
            return self._reference(value, path)
        if path[-1] not in _PROSE:
            self._look_inside(value, path)
        return value

    def _reference(self, text: str, path: Path) -> Any:
        found = _REFERENCE.fullmatch(text)
        name = found.group(1) if found else ""
        self.used.add(name)
        if name in self.values:
            return self.values[name]
        self.broken.add(path)
        if name not in self.declared and not self.document.is_broken(("params",)):
            what = f"the parameter `{name}` is not declared" if found else f"`{text}` is no `$name`"
            hint = near(name, self.declared) or f'write "${text}" if the text `{text}` is meant'
            self.problems.append(Diagnostic("PC108", what, self.document.spans[path], hint))
        return text

    def _look_inside(self, text: str, path: Path) -> None:
        for found in _REFERENCE.finditer(text):
            if found.group(1) in self.declared:
                self.inside.append((found.group(), self.document.spans[path]))

    def warnings(self) -> Iterator[Diagnostic]:
        """Lints: parameters that do nothing."""
        for name in self.declared:
            if name not in self.used:
                span = self.document.key_spans["params", name]
                message = f"the parameter `{name}` is not used"
                yield Diagnostic("PC907", message, span, None, "warning")
        for name, span in self.inside:
            message = f"`{name}` inside a text is not replaced"
            hint = "a parameter stands for a whole value"
            yield Diagnostic("PC907", message, span, hint, "warning")


def _is_usable(declaration: Any) -> bool:
    """Whether a declaration has the form that the schema asks for."""
    return (
        isinstance(declaration, dict)
        and declaration.get("type") in list(_TYPES)
        and isinstance(declaration.get("enum", []), list)
        and all(_has_type(declaration.get(key, 0), "number") for key in ("minimum", "maximum"))
    )


def _has_type(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _misfit(value: Any, declaration: Mapping[str, Any]) -> str | None:
    """Why `value` may not be the parameter's, as a clause; None where it may."""
    kind = declaration["type"]
    if not _has_type(value, kind):
        return f"`{_shown(value)}` is not of type `{kind}`"
    if value not in declaration.get("enum", [value]):
        return f"`{_shown(value)}` is none of {', '.join(map(_shown, declaration['enum']))}"
    if kind not in ("integer", "number"):
        return None
    if value < declaration.get("minimum", value):
        return f"`{value}` is less than the minimum, {declaration['minimum']}"
    if value > declaration.get("maximum", value):
        return f"`{value}` is more than the maximum, {declaration['maximum']}"
    return None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
