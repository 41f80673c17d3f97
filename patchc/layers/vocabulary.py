"""Rules of the layers that turn tokens or ids into ids or encodings.

The index of a token: a mask token (in `int` mode, where there is one), then
the out-of-vocabulary buckets, then the vocabulary in its order.  What is
appended to a vocabulary leaves all older indices alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    anything,
    boolean,
    integer,
    list_of,
    non_negative_int,
    number,
    one_of,
    optional,
    positive_int,
    string,
)
from patchc.layers.base import Argument, CallSpec, Config, NoRuleError, Rule, RuleError, Shape
from patchc.layers.parts import setting

_NO = Argument(boolean, False)
_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


def _encoded(mode: str, shape: Shape, depth: int | None) -> Shape:
    """Shape of an encoding of ids; an axis of one id gives way to it.

    Source: `IndexLookup.compute_output_shape`.
    """
    if mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
        return (*shape, depth)
    return (*shape[:-1], depth)


class CategoryEncoding(Rule):
    """Ids below `num_tokens` as vectors of zeros and ones, or of counts."""

    class_name = "CategoryEncoding"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "num_tokens": Argument(positive_int),
        "output_mode": Argument(one_of("multi_hot", "one_hot", "count"), "multi_hot"),
        "sparse": _NO,
    }
    feature = "num_tokens"
    grows = ("num_tokens",)

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape with `num_tokens` entries for its last axis, or behind it."""
        mode = setting(self, config, "output_mode")
        if not call.shape:
            return ((setting(self, config, "num_tokens"),),)
        return (_encoded(mode, call.shape, setting(self, config, "num_tokens")),)


class Lookup(Rule):
    """What StringLookup and IntegerLookup share."""

    feature = None
    common = ("name", "trainable", "dtype")

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Ids in the shape of the input, or encodings of them."""
        mode = setting(self, config, "output_mode")
        if mode == "int":
            return (call.shape,)
        return (_encoded(mode, call.shape, self.depth(config)),)

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """Ids are whole numbers."""
        return "int64" if setting(self, config, "output_mode") == "int" else "float32"

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`tokens` where the ids are encoded."""
        return None if setting(self, config, "output_mode") == "int" else "tokens"

    def depth(self, config: Config) -> int | None:
        """Number of indices in an encoding."""
        if setting(self, config, "output_mode") == "tf_idf":
            raise NoRuleError("weighs its tokens by how rare they are")
        if config.get("pad_to_max_tokens"):
            return int(config["max_tokens"])
        if config.get("vocabulary_size") is not None:
            return int(config["vocabulary_size"])
        known = self.indices(config)
        if known is None:
            raise NoRuleError("keeps its vocabulary in a file of its own")
        return known

    def indices(self, config: Config) -> int | None:
        """Number of indices that it gives out; None where the configuration does not tell."""
        words = config.get("vocabulary")
        if not isinstance(words, list):
            return None
        oov = int(setting(self, config, "num_oov_indices"))
        mask = config.get("mask_token")
        masks = int(mask is not None and setting(self, config, "output_mode") == "int")
        special = [mask] * masks + [config.get("oov_token")] * oov
        told = len(special) if words[: len(special)] == special and special else 0
        return len(special) + len(words) - told

    def token_problem(self, config: Config, tokens: Sequence[Any]) -> str | None:
        """What speaks against further tokens, a clause that follows the layer's name.

        The vocabulary has to be in the configuration.
        """
        words = config["vocabulary"]
        if setting(self, config, "invert"):
            return "turns ids into tokens"
        if setting(self, config, "output_mode") == "tf_idf":
            return "weighs its tokens by how rare they are, which is not known of new ones"
        wrong = [token for token in tokens if not isinstance(token, self.token)]
        if wrong:
            return f"takes tokens that are a {self.token.__name__}, not `{wrong[0]}`"
        known = set(words) | {config.get("mask_token"), config.get("oov_token")}
        old = [token for token in tokens if token in known]
        if old:
            return f"has the token `{old[0]}` already"
        return self._room(config, len(tokens))

    def _room(self, config: Config, more: int) -> str | None:
        most = config.get("max_tokens")
        if most is not None and (self.indices(config) or 0) + more > most:
            return f"takes at most {most} tokens (`max_tokens`)"
        if config.get("pad_to_max_tokens"):
            return "is padded to `max_tokens`, so the rows of new tokens are there already"
        return None

    token: ClassVar[type]

    def unknown_id(self, config: Config) -> int | None:
        """The id of tokens out of the vocabulary; None where they have none or several."""
        masked = config.get("mask_token") is not None
        return int(masked) if setting(self, config, "num_oov_indices") == 1 else None

    def with_tokens(self, config: Config, tokens: Sequence[Any]) -> Mapping[str, Any]:
        """The configuration keys that change with further tokens."""
        changed: dict[str, Any] = {"vocabulary": [*config["vocabulary"], *tokens]}
        if config.get("vocabulary_size") is not None:
            changed["vocabulary_size"] = int(config["vocabulary_size"]) + len(tokens)
        return changed


class StringLookup(Lookup):
    """The index of each string in a vocabulary."""

    class_name = "StringLookup"
    token = str
    arguments: ClassVar[Mapping[str, Argument]] = {
        "max_tokens": Argument(optional(positive_int), None),
        "num_oov_indices": Argument(non_negative_int, 1),
        "mask_token": Argument(optional(string), None),
        "oov_token": Argument(optional(string), "[UNK]"),
        "vocabulary": Argument(optional(list_of(string)), None),
        "idf_weights": Argument(optional(list_of(number)), None),
        "invert": _NO,
        "output_mode": Argument(one_of(*_MODES), "int"),
        "pad_to_max_tokens": _NO,
        "sparse": _NO,
        "encoding": Argument(string, "utf-8"),
        "vocabulary_size": Argument(optional(positive_int), None),
        "oov_method": Argument(one_of("floormod", "farmhash"), "floormod"),
        "salt": Argument(anything, None),
    }


class IntegerLookup(Lookup):
    """The index of each whole number in a vocabulary."""

    class_name = "IntegerLookup"
    token = int
    arguments: ClassVar[Mapping[str, Argument]] = {
        **StringLookup.arguments,
        "mask_token": Argument(optional(integer), None),
        "oov_token": Argument(optional(integer), -1),
        "vocabulary": Argument(optional(list_of(integer)), None),
        "vocabulary_dtype": Argument(one_of("int64"), "int64"),
    }


def _boundaries(value: Any) -> list[float]:
    found: list[float] = list_of(number)(value)
    if sorted(found) != found:
        raise RuleError("must be a list of numbers in ascending order")
    return found


class Discretization(Rule):
    """The number of the bin that each number falls into."""

    class_name = "Discretization"
    common = ("name", "dtype")
    arguments: ClassVar[Mapping[str, Argument]] = {
        "bin_boundaries": Argument(optional(_boundaries), None),
        "num_bins": Argument(optional(non_negative_int), None),
        "epsilon": Argument(number, 0.01),
        "output_mode": Argument(one_of("int", "one_hot", "multi_hot", "count"), "int"),
        "sparse": _NO,
    }

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Bins in the shape of the input, or encodings of them.

        Source: `Discretization.compute_output_shape`.
        """
        mode, shape = setting(self, config, "output_mode"), call.shape
        bounds = setting(self, config, "bin_boundaries")
        if mode == "int":
            return (shape,)
        depth = len(bounds) + 1 if bounds is not None else setting(self, config, "num_bins")
        if depth is None:
            raise RuleError("needs `bin_boundaries` or `num_bins`")
        if mode == "one_hot":
            return (_encoded(mode, shape, depth),)
        return ((shape[0], *shape[2:], depth) if len(shape) > 1 else (depth,),)

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """Bins are whole numbers."""
        whole = setting(self, config, "output_mode") == "int"
        return "int32" if whole else super().output_dtype(config, call)


RULES: tuple[Rule, ...] = (CategoryEncoding(), Discretization(), IntegerLookup(), StringLookup())
"""The rules of this family."""
