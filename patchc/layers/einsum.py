"""The letters of an EinsumDense equation, and the shapes they stand for.

Source: `keras.src.layers.core.einsum_dense._analyze_einsum_string`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from patchc.layers.base import RuleError, Shape
from patchc.layers.shapes import written
from patchc.model.values import Strategy

_FORMS = (
    re.compile(r"()([a-zA-Z]+)(),([a-zA-Z]+)->()([a-zA-Z]+)()"),
    re.compile(r"(\.\.\.)([a-zA-Z]+)(),([a-zA-Z]+)->(\.\.\.)([a-zA-Z]+)()"),
    re.compile(r"()([a-zA-Z]{2,})(\.\.\.),([a-zA-Z]+)->()([a-zA-Z]+)(\.\.\.)"),
)

_SCALED = {
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
}
"""Initialisers that look at fan-in and fan-out."""


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation such as `...ab,bc->...ac`, taken apart.

    Args:
        given: letters of the input.
        kernel: letters of the kernel.
        made: letters of the output.
        left: dots stand before the letters of input and output.
        right: dots stand behind them.
    """

    given: str
    kernel: str
    made: str
    left: bool
    right: bool

    @classmethod
    def of(cls, text: str) -> Equation:
        """Take an equation apart.

        Raises:
            RuleError: where it has none of the forms that EinsumDense knows.
        """
        for form in _FORMS:
            if found := form.fullmatch(text):
                left, given, right, kernel, _, made, _ = found.groups()
                return cls(given, kernel, made, bool(left), bool(right))
        raise RuleError("must be an equation such as ab,bc->ac, ...ab,bc->...ac or ab...,bc->ac...")


def parse_equation(value: Any) -> str:
    """Check an equation and hand it on."""
    if not isinstance(value, str):
        raise RuleError("must be an einsum equation")
    equation = Equation.of(value)
    for letter in equation.made:
        if letter not in equation.given + equation.kernel:
            raise RuleError(f"must not make the letter {letter} out of nothing")
    for letter in equation.kernel:
        if letter not in equation.given + equation.made:
            raise RuleError(f"must not have the letter {letter} in the kernel only")
    return value


@dataclass(frozen=True, slots=True)
class Einsum:
    """An equation on an input.

    Args:
        equation: the equation.
        given: shape of the input.
        output: shape of the output.
    """

    equation: Equation
    given: Shape
    output: Shape

    @classmethod
    def of(cls, text: str, sizes: Sequence[int | None], given: Shape) -> Einsum:
        """The equation `text` with `output_shape` `sizes` on an input of shape `given`.

        Raises:
            RuleError: where equation, input and `output_shape` do not fit.
        """
        equation = Equation.of(text)
        result = cls(equation, given, _output(equation, given, sizes))
        for letter in set(equation.given) & set(equation.made):
            before, after = result.input_size(letter), result.output_size(letter)
            if after is not None and after != before:
                raise RuleError(
                    f"has the size {after} in `output_shape` for the letter {letter}, "
                    f"which is {before} in its input {written(given)}"
                )
        return result

    @property
    def _elided(self) -> int:
        return len(self.given) - len(self.equation.given)

    def input_size(self, letter: str) -> int | None:
        """Size of the input's axis with that letter."""
        offset = self._elided if self.equation.left else 0
        return self.given[self.equation.given.index(letter) + offset]

    def output_size(self, letter: str) -> int | None:
        """Size of the output's axis with that letter."""
        offset = self._elided if self.equation.left else 0
        return self.output[self.equation.made.index(letter) + offset]

    def kernel(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Shape and axes of the kernel."""
        made, letters = self.equation.made, self.equation.kernel
        sizes = [self.output_size(x) if x in made else self.input_size(x) for x in letters]
        return _known(sizes), tuple(map(self._label, letters))

    def bias(self, letters: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Shape and axes of the bias: from the first of `letters` to the last axis."""
        made = self.equation.made
        for letter in letters:
            if letter not in made:
                raise RuleError(f"has the letter {letter} in `bias_axes`, which it does not make")
        tail = made[min(made.index(letter) for letter in letters) :] if letters else ""
        sizes = [self.output_size(x) if x in letters else 1 for x in tail]
        labels = [self._label(x) if x in letters else "" for x in tail]
        behind = self._elided if not self.equation.left else 0
        return _known(sizes) + (1,) * behind, tuple(labels) + ("",) * behind

    def _label(self, letter: str) -> str:
        """What an axis with that letter runs over.

        `input` is the last letter of the input, `input:x` another one that is
        summed over, `kept:x` one that input, kernel and output share, `=x` one
        that the kernel does not know, and `x` one that the kernel brings.
        """
        given, kernel, made, _, right = astuple(self.equation)
        if letter not in given:
            return letter
        if letter == given[-1] and not right:
            return "input"
        if letter not in kernel:
            return f"={letter}"
        return f"kept:{letter}" if letter in made else f"input:{letter}"

    def labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What the axes of input and output run over, "" for those that dots stand for."""
        dots = ("",) * self._elided
        ends = []
        for letters in (self.equation.given, self.equation.made):
            labels = tuple(map(self._label, letters))
            ends.append((*dots, *labels) if self.equation.left else (*labels, *dots))
        return ends[0], ends[1]

    def feature(self) -> str | None:
        """What the last axis of the output runs over."""
        return None if self.equation.right else self._label(self.equation.made[-1]) or None

    def fans(self) -> tuple[list[int], list[int]]:
        """Axes of the kernel that count as fan-in, and those that count as fan-out."""
        ins = [i for i, x in enumerate(self.equation.kernel) if x not in self.equation.made]
        outs = [i for i, x in enumerate(self.equation.kernel) if x in self.equation.made]
        return ins, outs

    @staticmethod
    def letters(text: str) -> tuple[str, ...]:
        """Letters that the kernel brings into the output, from the last axis on."""
        equation = Equation.of(text)
        return tuple(x for x in reversed(equation.made) if x not in equation.given)

    @staticmethod
    def place(text: str, letter: str) -> int:
        """Index of a letter in `output_shape`, counted from its end."""
        equation = Equation.of(text)
        return equation.made.index(letter) - len(equation.made)


def _known(sizes: Sequence[int | None]) -> tuple[int, ...]:
    if any(size is None for size in sizes):
        raise RuleError("needs sizes that are known for every letter of its kernel")
    return tuple(size for size in sizes if size is not None)


def _output(equation: Equation, given: Shape, sizes: Sequence[int | None]) -> Shape:
    """Shape of the output: the batch, what the dots stand for, and `output_shape`."""
    elided = len(given) - len(equation.given)
    if elided < 0 or (elided > 0 and not equation.left and not equation.right):
        letters = len(equation.given)
        raise RuleError(f"needs an input with {letters} axes, and gets {written(given)}")
    inside = given[1:elided][::-1] if equation.left else ()  # in Keras's order
    behind = given[len(given) - elided :] if equation.right else ()
    output = (given[0], *inside, *sizes, *behind)
    if len(output) != len(equation.made) + elided:
        raise RuleError(f"has an `output_shape` {written(sizes)} that does not fit its equation")
    return output


def einsum_initializer(strategy: Strategy, einsum: Einsum) -> Strategy:
    """The initialiser as EinsumDense calls it: with the fans that the equation gives.

    Source: `EinsumDense._update_kernel_initializer`.
    """
    arguments = strategy.arguments
    if strategy.name not in _SCALED:
        return strategy
    if arguments.get("input_axes") is not None and arguments.get("output_axes") is not None:
        return strategy
    ins, outs = einsum.fans()
    return Strategy(strategy.name, {**arguments, "input_axes": ins, "output_axes": outs})
