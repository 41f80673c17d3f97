"""Rules of the layers that turn tokens or ids into ids or encodings.

The index of a token: a mask token (in `int` mode, where there is one), then
the out-of-vocabulary buckets, then the vocabulary in its order.  What is
appended to a vocabulary leaves all older indices alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
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
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    NoRuleError,
    Rule,
    RuleError,
    Shape,
    WeightSpec,
)
from patchc.layers.parts import setting
from patchc.layers.scalars import either
from patchc.layers.shapes import need_min_rank

_NO = Argument(boolean, False)
_WEIGHED = "weighs its tokens by how rare they are, which is not known of new ones"
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
    """What layers with a vocabulary share.

    A vocabulary, where it is asked for, is that of the configuration, or the
    lines of the file that Keras stores beside it.
    """

    feature = None
    common = ("name", "trainable", "dtype")
    token: ClassVar[type]

    def told(self, config: Config) -> Config:
        """The configuration of the lookup itself."""
        return config

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Ids in the shape of the input, or encodings of them."""
        mode = setting(self, config, "output_mode")
        if mode == "int":
            return (call.shape,)
        return (_encoded(mode, call.shape, self.depth(config)),)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """None; what Keras weighs tokens by, where it does, is not followed."""
        if setting(self, config, "output_mode") == "tf_idf":
            raise NoRuleError(_WEIGHED)
        return ()

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """Ids are whole numbers."""
        return "int64" if setting(self, config, "output_mode") == "int" else "float32"

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`tokens` where the ids are encoded."""
        return None if setting(self, config, "output_mode") == "int" else "tokens"

    def depth(self, config: Config) -> int:
        """Number of indices in an encoding."""
        if setting(self, config, "output_mode") == "tf_idf":
            raise NoRuleError(_WEIGHED)
        if config.get("pad_to_max_tokens"):
            return int(config["max_tokens"])
        if config.get("vocabulary_size") is not None:
            return int(config["vocabulary_size"])
        words = config.get("vocabulary")
        if not isinstance(words, list):
            raise NoRuleError("keeps its vocabulary in a file of its own")
        return self.indices(config, words)

    def parsed(self, lines: Sequence[str]) -> list[Any]:
        """The vocabulary of the lines of a file."""
        return [self.token(line) for line in lines]

    def indices(self, config: Config, words: Sequence[Any]) -> int:
        """Number of indices that it gives out with a vocabulary."""
        told = self.told(config)
        mask = told.get("mask_token")
        masks = int(mask is not None and told.get("output_mode", "int") == "int")
        oov = int(told.get("num_oov_indices", 1))
        special = [mask] * masks + [told.get("oov_token")] * oov
        in_it = len(special) if list(words[: len(special)]) == special and special else 0
        return len(special) + len(words) - in_it

    def token_problem(
        self, config: Config, words: Sequence[Any], tokens: Sequence[Any]
    ) -> str | None:
        """What speaks against further tokens, a clause that follows the layer's name."""
        told = self.told(config)
        if told.get("invert"):
            return "turns ids into tokens"
        wrong = [token for token in tokens if not isinstance(token, self.token)]
        if wrong:
            return f"takes tokens that are a {self.token.__name__}, not `{wrong[0]}`"
        known = {*words, told.get("mask_token"), told.get("oov_token")}
        old = [token for token in tokens if token in known]
        if old:
            return f"has the token `{old[0]}` already"
        torn = [token for token in tokens if len(str(token).splitlines()) != 1]
        if torn:
            return f"takes tokens of one line, not {torn[0]!r}"
        return None

    def unknown_id(self, config: Config) -> int | None:
        """The id of tokens out of the vocabulary; None where they have none or several."""
        told = self.told(config)
        masked = told.get("mask_token") is not None
        return int(masked) if told.get("num_oov_indices", 1) == 1 else None

    def with_tokens(
        self, config: Config, words: Sequence[Any], tokens: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The configuration keys that change with further tokens."""
        size = self.indices(config, words) + len(tokens)
        changed: dict[str, Any] = {}
        if isinstance(config.get("vocabulary"), list):
            changed["vocabulary"] = [*config["vocabulary"], *tokens]
        if config.get("vocabulary_size") is not None:
            changed["vocabulary_size"] = size
        if config.get("max_tokens") is not None and config["max_tokens"] < size:
            changed["max_tokens"] = size
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


_PUNCTUATION = frozenset("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")
"""What TextVectorization strips; source: `DEFAULT_STRIP_REGEX` of its module."""
_CAPITALS = frozenset(ascii_uppercase)


class TextVectorization(Lookup):
    """Texts, cut into tokens, and the index of each in a vocabulary.

    Its lookup is a StringLookup with the mask token "" and one index for all
    other tokens.
    """

    class_name = "TextVectorization"
    token = str
    always = ("standardize", "split", "ngrams")
    arguments: ClassVar[Mapping[str, Argument]] = {
        "max_tokens": Argument(optional(positive_int), None),
        "standardize": Argument(
            optional(one_of("lower_and_strip_punctuation", "lower", "strip_punctuation")),
            "lower_and_strip_punctuation",
        ),
        "split": Argument(optional(one_of("whitespace", "character")), "whitespace"),
        "ngrams": Argument(optional(either(positive_int, list_of(positive_int))), None),
        "output_mode": Argument(one_of(*_MODES), "int"),
        "output_sequence_length": Argument(optional(positive_int), None),
        "pad_to_max_tokens": _NO,
        "vocabulary": Argument(optional(list_of(string)), None),
        "idf_weights": Argument(optional(list_of(number)), None),
        "sparse": _NO,
        "ragged": _NO,
        "encoding": Argument(string, "utf-8"),
        "vocabulary_size": Argument(optional(positive_int), None),
    }

    def told(self, config: Config) -> Config:
        """That of its StringLookup."""
        return {**config, "mask_token": "", "oov_token": "[UNK]", "num_oov_indices": 1}

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and that of its StringLookup."""
        return ["", "_lookup_layer"]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Ids, `output_sequence_length` of each text; or encodings.

        Source: `TextVectorization.compute_output_shape`.
        """
        mode, shape = setting(self, config, "output_mode"), need_min_rank(call, 1)
        if mode == "int":
            return ((shape[0], setting(self, config, "output_sequence_length")),)
        if config.get("split", "whitespace") is not None:
            shape = (*shape, None)
        elif len(shape) < 2:
            shape = (*shape, 1)
        return (_encoded(mode, shape, self.depth(config)),)

    def token_problem(
        self, config: Config, words: Sequence[Any], tokens: Sequence[Any]
    ) -> str | None:
        """Tokens that its texts are never cut into would never be found."""
        found = super().token_problem(config, words, tokens)
        return found or next(filter(None, (_never_met(config, token) for token in tokens)), None)


def _never_met(config: Config, token: str) -> str | None:
    """Why a text is never cut into a token, as far as the configuration tells."""
    how = config.get("standardize", "lower_and_strip_punctuation")
    how = how if isinstance(how, str) else ""
    if how.startswith("lower") and not _CAPITALS.isdisjoint(token):
        return f"turns its texts into small letters, and would never find `{token}`"
    if how.endswith("strip_punctuation") and not _PUNCTUATION.isdisjoint(token):
        return f"strips its texts of punctuation, and would never find `{token}`"
    if config.get("ngrams") is not None:
        return None
    split = config.get("split", "whitespace")
    if split == "whitespace" and len(token.split()) != 1:
        return f"cuts its texts at white space, and would never find `{token}`"
    if split == "character" and len(token) != 1:
        return f"cuts its texts into characters, and would never find `{token}`"
    return None


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


RULES: tuple[Rule, ...] = (
    CategoryEncoding(),
    Discretization(),
    IntegerLookup(),
    StringLookup(),
    TextVectorization(),
)
"""The rules of this family."""
