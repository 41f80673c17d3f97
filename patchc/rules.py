"""Rules for layer classes of your own.

A rule tells patchc what a class means: the arguments of its constructor, the
weights that it creates and what their axes run over, the shape of its output.
The classes of Keras are described in the same way.  With a rule, layers of
your class can be inserted, grown, shrunk and initialised, and a change of an
axis passes through them; without one they are carried through as they are.

A layer that multiplies each feature by a weight:

>>> from patchc import rules
>>> class ScaleRule(rules.Rule):
...     class_name = "Scale"
...     feature = "input"
...     def weights(self, config, call):
...         size = call.shape[-1]
...         ones = rules.Strategy("Ones")
...         return [rules.WeightSpec("factor", "vars/0", (size,), ("input",), ones)]
>>> rules.register("acme>Scale", ScaleRule(), module="acme_layers")

`axes` names what each axis of a weight runs over: `input` for the features of
the input, a key of the configuration (`units`) for features that the layer
makes, "" for anything else; `feature` says the same of the last axis of the
output.  Where a new entry of an `input` axis meets a sum, it starts at zero.
Put the call of `register` into the module that defines the class, and name
that module with `--import`.  A rule is believed: hold it against your class,
for instance with `patchc apply --run` or `verify: {outputs: same}`.
"""

from __future__ import annotations

from patchc.layers.arguments import (
    activation,
    anything,
    boolean,
    constraint,
    either,
    initializer,
    integer,
    list_of,
    non_negative_int,
    number,
    one_of,
    optional,
    positive_int,
    regularizer,
    string,
)
from patchc.layers.base import (
    REQUIRED,
    Argument,
    CallSpec,
    Config,
    NoRuleError,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
)
from patchc.layers.registry import forget, register
from patchc.model.values import Strategy

__all__ = [
    "REQUIRED",
    "Argument",
    "CallSpec",
    "Config",
    "NoRuleError",
    "Rule",
    "RuleError",
    "Shape",
    "Strategy",
    "TensorSpec",
    "WeightSpec",
    "activation",
    "anything",
    "boolean",
    "constraint",
    "either",
    "forget",
    "initializer",
    "integer",
    "list_of",
    "non_negative_int",
    "number",
    "one_of",
    "optional",
    "positive_int",
    "register",
    "regularizer",
    "string",
]
