"""Selectors: which layers an edit is about.

Each selector becomes a test that says of every layer why it is not picked, so
that one piece of code answers the compiler, `inspect --select`, and the user
whose selector matches nothing.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from patchc.compiler.flow import Flow
from patchc.compiler.region import Block, RegionError, block_between, head_of
from patchc.errors import Diagnostic, PatchError, Span
from patchc.language.patch import AnySelector, BlockBounds, KeySelector, NameSelector, Selector
from patchc.layers.freezing import trains
from patchc.layers.matching import class_matches, same_value
from patchc.model.graph import Layer, Tensor, flatten, walk

Match = Layer | Block
Test = Callable[[Layer], str | None]
"""Says why a layer is not picked; None where it is."""

_CUTS = ("first", "last", "nth")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector picked.

    Args:
        matches: layers in the order of `model.layers`, or one block.
        rejected: for every other layer the reason, in the same order.
    """

    matches: tuple[Match, ...]
    rejected: Mapping[Layer, str] = field(default_factory=dict)

    @property
    def layers(self) -> list[Layer]:
        """The picked layers, a block's members one by one."""
        return [
            layer
            for match in self.matches
            for layer in (match.layers if isinstance(match, Block) else (match,))
        ]


class Selecting:
    """Resolves selectors on the model as it stands."""

    def __init__(self, root: Layer) -> None:
        self.root = root
        self.layers = list(walk(root))

    @cached_property
    def flow(self) -> Flow:
        """The unfolded graph, made when a selector asks for it."""
        return Flow.of(self.root)

    def select(self, selector: Selector) -> Selection:
        """Pick layers.

        Raises:
            PatchError: PC203 or PC204 where the selector cannot be used on
                this model, such as a regular expression that does not compile.
        """
        if isinstance(selector, KeySelector) and set(selector.keys) == {"block"}:
            return Selection((self._block(selector.keys["block"]),))
        test = self._test(selector)
        reasons = {layer: test(layer) for layer in self.layers}
        picked = [layer for layer, reason in reasons.items() if reason is None]
        rejected = {layer: reason for layer, reason in reasons.items() if reason is not None}
        return Selection(tuple(picked), rejected)

    # ------------------------------------------------------------------- tests

    def _test(self, selector: Selector) -> Test:
        if isinstance(selector, NameSelector):
            return _name_test(selector.glob)
        if isinstance(selector, AnySelector):
            return _any([self._test(item) for item in selector.items])
        return self._mapping_test(selector)

    def _mapping_test(self, selector: KeySelector) -> Test:
        keys = [key for key in selector.keys if key not in _CUTS]
        tests = [self._key_test(key, selector.keys[key], selector.spans[key]) for key in keys]
        names_containers = any(key in {"class", "input", "output"} for key in keys) or any(
            key == "name" and not all(map(_has_wildcard, selector.keys["name"])) for key in keys
        )

        def test(layer: Layer) -> str | None:
            if _is_container(layer) and not names_containers:
                return _CONTAINER
            return next((reason for t in tests if (reason := t(layer)) is not None), None)

        return self._cut(selector, test)

    def _cut(self, selector: KeySelector, test: Test) -> Test:
        """Apply `first`, `last` or `nth` to what the other keys left."""
        cut = next((key for key in _CUTS if key in selector.keys), None)
        if cut is None:
            return test
        number = selector.keys[cut]
        left = [layer for layer in self.layers if test(layer) is None]
        if cut == "first":
            kept = left[:number]
        elif cut == "last":
            kept = left[-number:] if number else []
        else:
            kept = left[number:][:1] if -len(left) <= number < len(left) else []
        chosen = set(kept)
        return lambda layer: test(layer) or (None if layer in chosen else f"not {cut}: {number}")

    def _key_test(self, key: str, value: Any, span: Span) -> Test:
        match key:
            case "name":
                return _any([_name_test(glob) for glob in value])
            case "class":
                return lambda layer: (
                    None
                    if any(class_matches(layer, name) for name in value)
                    else f"its class is {layer.class_name}"
                )
            case "regex":
                return self._regex_test(value, span)
            case "where":
                return lambda layer: _where(layer, value)
            case "weighted":
                return lambda layer: _flag("weighted", bool(layer.weights), wanted=value)
            case "trainable":
                return lambda layer: _flag("trainable", trains(layer, self.root), wanted=value)
            case "any":
                return _any([self._test(item) for item in value])
            case "all":
                return _all([self._test(item) for item in value])
            case "not":
                inner = self._test(value)
                return lambda layer: "named under `not`" if inner(layer) is None else None
        return self._set_test(key, value, span)

    def _set_test(self, key: str, value: Any, span: Span) -> Test:
        """Keys that work out a set of layers first."""
        chosen: set[Layer]
        match key:
            case "before":
                chosen = self.flow.upstream(self.select(value).layers)
            case "after":
                chosen = self.flow.downstream(self.select(value).layers)
            case "inside":
                chosen = {inner for layer in self.select(value).layers for inner in walk(layer)}
            case "block":
                chosen = set(self._block(value).layers)
            case "output" | "input":
                chosen = {self._end(key, value, span)}
            case _:
                chosen = set(self._heads(value, span))
        return lambda layer: None if layer in chosen else f"not {_KEY_PHRASES[key]}"

    def _regex_test(self, pattern: str, span: Span) -> Test:
        try:
            import re2  # noqa: PLC0415 (an extra, needed by this selector alone)
        except ImportError:
            _refuse(
                "PC204",
                "`regex` needs the re2 engine, which is not installed",
                span,
                "pip install 'patchc[regex]', or use a glob",
            )
        options = re2.Options()
        options.log_errors = False
        try:
            compiled = re2.compile(pattern, options)
        except re2.error as error:
            detail = error.args[0] if error.args else ""
            text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
            _refuse(
                "PC204",
                f"the regular expression does not compile: {text}",
                span,
                "see github.com/google/re2/wiki/Syntax",
            )
        return lambda layer: None if compiled.fullmatch(layer.path) else "its path does not match"

    # ------------------------------------------------------------ inputs, outputs

    def _ends(self, key: str) -> list[tuple[str, Tensor]]:
        graph = self.root.graph
        assert graph is not None
        return named_ends(graph.outputs if key == "output" else graph.inputs)

    def _end(self, key: str, value: str | int, span: Span) -> Layer:
        ends = self._ends(key)
        if isinstance(value, int) and -len(ends) <= value < len(ends):
            return ends[value][1].layer
        named = {name: tensor.layer for name, tensor in reversed(ends)}
        if isinstance(value, int) or value not in named:
            listed = ", ".join(f"{i}: `{name}`" for i, (name, _) in enumerate(ends))
            _refuse("PC204", f"the model has no {key} {value!r}", span, f"its {key}s are {listed}")
        return named[value]

    def _heads(self, value: str | int, span: Span) -> list[Layer]:
        ends = self._ends("output")
        if value == "*":
            chosen = [tensor for _, tensor in ends]
        else:
            self._end("output", value, span)
            chosen = [t for i, (name, t) in enumerate(ends) if value in {name, i, i - len(ends)}]
        try:
            return [head_of(tensor) for tensor in chosen]
        except RegionError as error:
            _refuse("PC203", str(error), span, error.help)

    def _block(self, bounds: BlockBounds) -> Block:
        first, last = self.select(bounds.from_).layers, self.select(bounds.to).layers
        try:
            return block_between(first, last)
        except RegionError as error:
            _refuse("PC203", str(error), bounds.span, error.help)


_CONTAINER = "a nested model or input: picked only by an exact name, `class`, `input` or `output`"
_KEY_PHRASES = {
    "before": "upstream of `before`",
    "after": "downstream of `after`",
    "inside": "inside the model of `inside`",
    "block": "in the block",
    "output": "the layer that makes this output",
    "input": "the layer that takes this input",
    "head": "the head of this output",
}


def named_ends(structure: Any) -> list[tuple[str, Tensor]]:
    """Inputs or outputs with their names: the dict key, else the layer's name."""
    if isinstance(structure, Mapping):
        return [
            (key if isinstance(structure[key], Tensor) else tensor.layer.name, tensor)
            for key in sorted(structure)
            for tensor in flatten(structure[key])
        ]
    return [(tensor.layer.name, tensor) for tensor in flatten(structure)]


def _is_container(layer: Layer) -> bool:
    return layer.graph is not None or layer.is_input


def _has_wildcard(glob: str) -> bool:
    return any(char in glob for char in "*?[")


def _name_test(glob: str) -> Test:
    exact = not _has_wildcard(glob)

    def test(layer: Layer) -> str | None:
        if _is_container(layer) and not exact:
            return _CONTAINER
        name = layer.path if "/" in glob else layer.name
        return None if glob_matches(glob, name) else f"its name is {name!r}"

    return test


def glob_matches(glob: str, path: str) -> bool:
    """Match a glob against a name or path, anchored and case-sensitive.

    `*`, `?` and `[...]` stay within one part of a path, `**` crosses parts.
    Python's translation of a single part is free of backtracking.
    """
    if "/" not in glob:
        return glob == "**" or fnmatch.fnmatchcase(path, glob.replace("**", "*"))
    reached = {0}
    parts = glob.split("/")
    names = path.split("/")
    for part in parts:
        if part == "**":
            reached = set(range(min(reached), len(names) + 1)) if reached else set()
        else:
            reached = {
                i + 1 for i in reached if i < len(names) and fnmatch.fnmatchcase(names[i], part)
            }
    return len(names) in reached


def _any(tests: Sequence[Test]) -> Test:
    def test(layer: Layer) -> str | None:
        reasons = [t(layer) for t in tests]
        return None if None in reasons else next((r for r in reasons if r), "nothing is listed")

    return test


def _all(tests: Sequence[Test]) -> Test:
    return lambda layer: next((reason for t in tests if (reason := t(layer)) is not None), None)


def _where(layer: Layer, wanted: Mapping[str, Any]) -> str | None:
    for key, value in wanted.items():
        if key not in layer.config:
            return f"it has no `{key}`"
        if not same_value(value, layer.config[key]):
            return f"its {key} is {layer.config[key]!r}"
    return None


def _flag(name: str, has: bool, *, wanted: bool) -> str | None:
    return None if has == wanted else f"it is {'' if has else 'not '}{name}"


def _refuse(code: str, message: str, span: Span, help_text: str) -> NoReturn:
    raise PatchError(Diagnostic(code, message, span, help_text))


# ------------------------------------------------------------------------- misses


def no_match(selecting: Selecting, selector: Selector) -> Diagnostic:
    """The diagnostic for a selector that picks nothing: what was near, or in the way."""
    root = selecting.root.name
    if isinstance(selector, KeySelector):
        message = f"selector matches no layer of {root}"
        return Diagnostic("PC201", message, selector.span, _eliminated(selecting, selector))
    globs = [g for g, _ in literal_names(selector)]
    shown = ", ".join(f"`{glob}`" for glob in globs)
    message = f"no layer of {root} is called {shown}" if shown else "selector matches no layer"
    return Diagnostic("PC201", message, selector.span, _near(selecting, globs))


def literal_names(selector: Selector) -> list[tuple[str, Span]]:
    """The names and globs that a string or list selector is made of."""
    if isinstance(selector, NameSelector):
        return [(selector.glob, selector.span)]
    if isinstance(selector, AnySelector):
        return [pair for item in selector.items for pair in literal_names(item)]
    return []


def _near(selecting: Selecting, globs: Sequence[str]) -> str:
    names = {layer.name: None for layer in selecting.layers}
    paths = {layer.path: None for layer in selecting.layers}
    for glob in globs:
        pool = paths if "/" in glob else names
        near = difflib.get_close_matches(glob, pool, n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    some = ", ".join(f"`{name}`" for name in list(names)[:5])
    return f"`patchc inspect` lists the layers: {some}, ..."


def _eliminated(selecting: Selecting, selector: KeySelector) -> str:
    """Say which key took away the last candidates."""
    left = selecting.layers
    for key, value in selector.keys.items():
        if key in _CUTS or key == "block":
            continue
        test = selecting._key_test(key, value, selector.spans[key])  # noqa: SLF001 (same room)
        remaining = [layer for layer in left if test(layer) is None]
        if not remaining:
            return _last_candidates(key, value, selecting, left)
        left = remaining
    if all(_is_container(layer) for layer in left):
        return "only nested models or inputs are left; name them exactly to pick them"
    return f"{len(left)} layers are left before `first`, `last` or `nth`"


def _last_candidates(key: str, value: Any, selecting: Selecting, left: Sequence[Layer]) -> str:
    if key == "name":
        return _near(selecting, value)
    if key == "class":
        classes = {layer.class_name: None for layer in selecting.layers}
        near = difflib.get_close_matches(value[0], classes, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"`class` leaves none: the model has {', '.join(sorted(classes))}{hint}"
    names = ", ".join(f"`{layer.path}`" for layer in left[:4])
    more = ", ..." if len(left) > 4 else ""
    return f"`{key}` took away the last {len(left)} candidates: {names}{more}"
