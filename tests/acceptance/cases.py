"""Cases: an edit on a model of the zoo, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.acceptance.judge import (
    Judged,
    assert_close,
    assert_same_function,
    judge,
    logits,
    patch_of,
    sample,
    variables,
)
from tests.conftest import Zoo

Check = Callable[[Judged], None]
ROUNDING = 1e-5


@dataclass(frozen=True)
class Case:
    """An edit, and what must come of it beside what holds of every result.

    Args:
        name: for the report.
        model: in the zoo.
        edits: YAML.
        fates: number of weights by fate.
        same: where the function stays: how far outputs may be apart, relative
            to the largest; 0 is bit for bit.
        shapes: of the outputs.
        warns: codes of warnings.
        also: what else to assert.
    """

    name: str
    model: str
    edits: str
    fates: dict[str, int] | None = None
    same: float | None = None
    shapes: list[tuple[int | None, ...]] | None = None
    warns: tuple[str, ...] = ()
    also: tuple[Check, ...] = ()


def run(case: Case, zoo: Zoo, room: Path) -> None:
    """Apply a case and let Keras judge."""
    judged = judge(zoo(case.model), patch_of(case.edits), room)
    assert tuple(judged.warned) == case.warns
    if case.fates is not None:
        assert judged.fates == case.fates
    if case.shapes is not None:
        assert [tuple(output.shape) for output in judged.result.outputs] == case.shapes
    if case.same is not None:
        assert_same_function(judged, case.same)
    for check in case.also:
        check(judged)


def table(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """The decorator that runs a test once for each case."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


# ------------------------------------------------------------------------- checks


def old_logits(
    head: str, relative: float = ROUNDING, places: list[int] | None = None, output: int = 0
) -> Check:
    """The old entries of a head's pre-activation are what they were.

    Args:
        head: path of the layer; of the softmax, where that is a layer of its own.
        places: where they are now; at the beginning if left out.
        output: which output it makes.
    """

    def check(judged: Judged) -> None:
        given = sample(judged.base)
        old = logits(judged.base, head, given)[output]
        new = logits(judged.result, head, given)[output]
        now = places or range(old.shape[-1])
        assert_close(new[..., list(now)], old, relative)

    return check


def trains(*layers: str) -> Check:
    """Exactly these layers (paths) train."""

    def check(judged: Judged) -> None:
        training = {id(variable) for variable in judged.result.trainable_weights}
        found = variables(judged.result).items()
        parts = {path for path, variable in found if id(variable) in training}
        owners = {next((o for o in layers if p.startswith(f"{o}/")), p) for p in parts}
        assert owners == set(layers)

    return check


def named_layers(*names: str) -> Check:
    """The result has exactly these layers, in this order; inputs do not count."""

    def check(judged: Judged) -> None:
        kept = [i for i in judged.result.layers if not isinstance(i, keras.layers.InputLayer)]
        assert [layer.name for layer in kept] == list(names)

    return check


def is_sequential(judged: Judged) -> None:
    assert type(judged.result) is keras.Sequential


def is_functional(judged: Judged) -> None:
    assert type(judged.result) is keras.Model or type(judged.result).__name__ == "Functional"


def trains_on(judged: Judged) -> None:
    """The result can be trained as it is, and its optimizer goes on counting."""
    model = judged.result
    before = int(model.optimizer.iterations)
    assert before == int(judged.base.optimizer.iterations) > 0
    targets = keras.tree.map_structure(_target, _outputs(model))
    model.run_eagerly = True  # one step is not worth tracing
    model.train_on_batch(sample(model), targets)
    assert int(model.optimizer.iterations) == before + 1


def _outputs(model: Any) -> Any:
    """The outputs of a model in the structure that targets have."""
    if isinstance(model, keras.Sequential) or len(model.outputs) == 1:
        return model.outputs[0]
    if isinstance(model.output, dict):
        return model.output
    return dict(zip(model.output_names, model.outputs, strict=True))


def _target(output: Any) -> Any:
    """Class 0, or zeros, in the shape that the losses of the zoo take."""
    return np.zeros((2, 1) if output.shape[-1] == 1 else (2,))


def value_of(path: str, expected: Callable[[Any], Any]) -> Check:
    """A weight of the result is `expected` of the weights before."""

    def check(judged: Judged) -> None:
        np.testing.assert_array_equal(judged.after[path], expected(judged.before))

    return check
