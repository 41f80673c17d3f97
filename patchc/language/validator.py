"""The published schema, and where data does not fit it.

jsonschema does the checking.  What comes out is reduced to the failures that
matter: of an `anyOf` only the branch that fits the type of the value, and
nothing that only follows from another failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from patchc.language.source import Path

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Failure", "definition", "failures", "read_schema"]

_PARAMETER = {"$ref": "#/definitions/parameter"}
_MOST_ERRORS = 200
_TYPE_KEYWORDS = ("type", "anyOf")


@dataclass(frozen=True, slots=True)
class Failure:
    """One keyword of the schema that the data does not meet.

    Args:
        path: of the value, or of the mapping whose key it is about.
        keyword: of JSON Schema: `type`, `required`, ...
        limit: what the keyword says.
        value: what was found.
        schema: the schema object that holds the keyword.
        about_key: whether `value` is a key of the mapping at `path`.
    """

    path: Path
    keyword: str
    limit: Any
    value: Any
    schema: Any
    about_key: bool

    @property
    def is_about_whole(self) -> bool:
        """Whether looking at the parts of the value makes no sense any more."""
        return self.keyword in (*_TYPE_KEYWORDS, "maxProperties")


def read_schema(name: str) -> str:
    """Return the text of the published schema `name`: `patch`, `plan` or `report`.

    It lies in the package once that is installed, and beside it in a checkout.
    """
    package = FilePath(__file__).parents[1]
    file = f"{name}.v1.schema.json"
    inside = package / "schemas" / file
    path = inside if inside.exists() else package.parent / "schemas" / file
    return path.read_text(encoding="utf-8")


def definition(reference: str) -> Any:
    """The definition of the patch schema that a `$ref`, or its last part, names."""
    return _schema()["definitions"][reference.rpartition("/")[2]]


def failures(data: Any) -> list[Failure]:
    """Hold the data of a patch, its parameters filled in, against the schema."""
    leaves = (leaf for error in _validator().iter_errors(data) for leaf in _leaves(error))
    return _relevant([_failure(leaf) for leaf in islice(leaves, _MOST_ERRORS)])


def _failure(error: ValidationError) -> Failure:
    return Failure(
        tuple(error.absolute_path),
        str(error.validator),
        error.validator_value,
        error.instance,
        error.schema,
        "propertyNames" in error.absolute_schema_path,
    )


@cache
def _schema() -> Any:
    return _strict(json.loads(read_schema("patch")))


def _strict(node: Any) -> Any:
    """The schema without the places for `$name`, which are filled in by now."""
    if isinstance(node, list):
        return [_strict(item) for item in node if item != _PARAMETER]
    if isinstance(node, dict):
        return {key: _strict(value) for key, value in node.items()}
    return node


@cache
def _validator() -> Any:
    from jsonschema import Draft7Validator, ValidationError, validators  # noqa: PLC0415 - slow

    def pattern(_: Any, regex: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        """`$` of JSON Schema is the end, in Python also what stands before a last line feed."""
        if isinstance(instance, str) and not re.fullmatch(regex, instance):
            yield ValidationError("pattern")

    def is_integer(_: Any, value: Any) -> bool:
        """`2.0` is an integer to JSON Schema; a count in a patch is written `2`."""
        return isinstance(value, int) and not isinstance(value, bool)

    checker = Draft7Validator.TYPE_CHECKER.redefine("integer", is_integer)
    extend: Any = validators.extend
    return extend(Draft7Validator, {"pattern": pattern}, type_checker=checker)(_schema())


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """What is wrong inside the `anyOf` branch that fits the value's type."""
    branch = _fitting_branch(error) if error.validator == "anyOf" else None
    if branch is None:
        yield error
        return
    for child in branch:
        yield from _leaves(child)


def _fitting_branch(error: ValidationError) -> list[ValidationError] | None:
    branches: dict[Any, list[ValidationError]] = {}
    for child in error.context or ():
        branches.setdefault(child.relative_schema_path[0], []).append(child)
    fitting = (branch for branch in branches.values() if not any(map(_is_mismatch, branch)))
    return next(fitting, None)


def _is_mismatch(error: ValidationError) -> bool:
    """Whether the value itself, not something in it, has a type that is not allowed."""
    if error.relative_path:
        return False
    if error.validator == "anyOf":
        return _fitting_branch(error) is None
    if error.validator == "enum":
        allowed: Any = error.validator_value
        return not any(type(value) is type(error.instance) for value in allowed)
    return error.validator == "type"


def _relevant(found: list[Failure]) -> list[Failure]:
    """Leave out what only follows from another failure at the same value or around it."""
    wholes = {failure.path for failure in found if failure.is_about_whole}
    relevant: dict[Any, Failure] = {}
    for failure in found:
        path = failure.path
        around = any(path[:length] in wholes for length in range(len(path)))
        beside = path in wholes and not failure.is_about_whole
        if not around and not beside:
            key = (path, failure.keyword, failure.value if failure.about_key else None)
            relevant.setdefault(key, failure)
    return list(relevant.values())
