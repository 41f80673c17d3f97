"""Every layer class of Keras has a rule, or a reason why it has none."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from patchc.layers.opaque import OPAQUE
from patchc.layers.registry import (
    ALIASES,
    all_rules,
    canonical_class_name,
    near_classes,
    rule_by_name,
    rule_for,
)
from tests.layers.oracle import keras


def exported() -> Iterator[tuple[str, Any]]:
    """The layer classes of `keras.layers` by the names under which it exports them."""
    for name in sorted(dir(keras.layers)):
        found = getattr(keras.layers, name)
        if inspect.isclass(found) and issubclass(found, keras.layers.Layer):
            yield name, found


def file_name(found: Any) -> str:
    """The class name that Keras writes into a file."""
    names = [name for name, other in exported() if other is found]
    return found.__name__ if found.__name__ in names else names[0]


def test_every_exported_class_has_a_rule_or_a_reason() -> None:
    names = {file_name(found) for _, found in exported()}
    ruled = {rule.class_name for rule in all_rules()}
    assert names == ruled | set(OPAQUE)
    assert not ruled & set(OPAQUE)


def test_aliases_are_those_of_keras() -> None:
    expected = {name: file_name(found) for name, found in exported() if name != file_name(found)}
    assert {k: v for k, v in ALIASES.items() if k != "GroupedQueryAttention"} == expected


def test_rules_by_name() -> None:
    rule = rule_by_name("Convolution2D")
    assert rule is not None
    assert rule.class_name == canonical_class_name("Convolution2D") == "Conv2D"
    assert rule_by_name("Lambda") is None
    assert near_classes("Dens")[0] == "Dense"
    assert near_classes("conv2d")[0] == "Conv2D"
    assert near_classes("qqqqqqqq") == []


@pytest.mark.parametrize(
    ("module", "registered_name", "found"),
    [
        ("keras.layers", None, True),
        ("keras.src.layers.merging.multiply", None, True),
        (None, None, True),
        ("keras.src.ops.numpy", "Multiply", False),
        ("keras.src.ops.numpy", None, False),
        ("my_package.layers", None, False),
        (None, "my_package>Multiply", False),
        ("keras.layers", "my_package>Multiply", False),
    ],
)
def test_rules_of_a_models_configuration(
    module: str | None, registered_name: str | None, found: bool
) -> None:
    assert (rule_for("Multiply", module, registered_name) is not None) == found


def test_no_rule_imports_keras() -> None:
    code = (
        "import sys; from patchc.layers.registry import all_rules; all_rules();"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
