from __future__ import annotations

import pytest

from patchc.language.strategies import _OWN, _VERBS_OF
from patchc.model.initializers import KERAS_INITIALIZERS, OWN_STRATEGIES, snake_case
from patchc.model.values import Strategy
from tests.language.patch_texts import codes, edit, edit_problems, marked

VERBS = {
    "replace": "{Dense: {units: 1}}",
    "expand": "{by: 1}",
    "shrink": "{drop: [0]}",
    "insert_before": "Dropout",
    "insert_after": "Dropout",
    "add_output": "{Dense: {units: 1}}",
}


def with_verb(init: str, verb: str) -> str:
    given = f"{verb}: {VERBS[verb]}\n" if verb in VERBS else ""
    return f"select: x\n{given}init: {init}"


def strategies(init: str, verb: str = "init") -> dict[str, Strategy]:
    built = edit(with_verb(init, verb)).init
    assert built is not None
    assert set(built.strategies) == set(built.spans) == set(built.key_spans)
    return dict(built.strategies)


@pytest.mark.parametrize("name", KERAS_INITIALIZERS)
def test_keras_initialisers_by_both_names(name: str) -> None:
    assert strategies(name) == {"": Strategy(name)}
    if name != "Identity":
        assert strategies(snake_case(name)) == {"": Strategy(name)}
        assert strategies(f"{{{snake_case(name)}: {{}}}}") == {"": Strategy(name)}
        assert strategies(f"{{{name}: }}") == {"": Strategy(name)}


def test_identity_is_always_patchc_s() -> None:
    assert strategies("identity", "insert_after") == {"": Strategy("identity")}
    assert strategies("{kernel: identity}", "insert_after") == {"kernel": Strategy("identity")}
    assert codes(edit_problems(with_verb("{kernel: {identity: {gain: 2.0}}}", "insert_after"))) == [
        "PC106"
    ]


@pytest.mark.parametrize(
    ("written", "strategy"),
    [
        ("normal", Strategy("RandomNormal")),
        ("{constant: -4.6}", Strategy("Constant", {"value": -4.6})),
        ("{Constant: 1}", Strategy("Constant", {"value": 1})),
        ("{constant: {value: 0.5}}", Strategy("Constant", {"value": 0.5})),
        ("{truncated_normal: {stddev: 0.02}}", Strategy("TruncatedNormal", {"stddev": 0.02})),
        ("{he_normal: {seed: 3}}", Strategy("HeNormal", {"seed": 3})),
        (
            "{VarianceScaling: {mode: fan_out, scale: 2}}",
            Strategy("VarianceScaling", {"mode": "fan_out", "scale": 2}),
        ),
    ],
)
def test_arguments_alone_and_by_weight(written: str, strategy: Strategy) -> None:
    assert strategies(written) == {"": strategy}
    assert strategies(f"{{bias: {written}}}") == {"bias": strategy}


def test_copy_takes_the_index_of_an_entry() -> None:
    assert strategies("copy", "expand") == {"": Strategy("copy")}
    for written in ("{copy: 3}", "{copy: {index: 3}}"):
        assert strategies(written, "expand") == {"": Strategy("copy", {"index": 3})}
        assert strategies(f"{{kernel: {written}}}", "expand") == {
            "kernel": Strategy("copy", {"index": 3})
        }


def test_by_weight() -> None:
    assert strategies('{kernel: mean, fc/bias: zeros, "*": default}', "expand") == {
        "kernel": Strategy("mean"),
        "fc/bias": Strategy("Zeros"),
        "*": Strategy("default"),
    }


def test_a_weight_may_be_called_as_a_strategy_is() -> None:
    assert strategies("{mean: zeros}") == {"mean": Strategy("Zeros")}
    assert strategies("{mean: {constant: 2}}") == {"mean": Strategy("Constant", {"value": 2})}
    assert strategies("{constant: zeros}") == {"constant": Strategy("Zeros")}
    assert strategies("{zeros: ones, ones: {constant: 1}}") == {
        "zeros": Strategy("Ones"),
        "ones": Strategy("Constant", {"value": 1}),
    }


@pytest.mark.parametrize(
    ("written", "at", "hint"),
    [
        ("zeroes", "zeroes", "did you mean `zeros`?"),
        ("HeNorml", "HeNorml", "did you mean `HeNormal`?"),
        ("maen", "maen", "did you mean `mean`?"),
        ("xyzzy", "xyzzy", "`default`"),
        ("{kernel: zeroes}", "zeroes", "did you mean `zeros`?"),
        ('{"*": {from: {model: m.keras, layer: x}}}', "from", "`default`"),
        ("{kernel: 0}", "0", "zeros"),
        ("{kernel: null}", "null", "zeros"),
        ("{kernel: {}}", "{}", "zeros"),
        ("{kernel: {zeros: 1, ones: 2}}", "{zeros: 1, ones: 2}", "zeros"),
        ("{kernel: {constant: x}}", "x", "`value`"),
        ("{kernel: {constant: true}}", "true", "`value`"),
        ("{he_normal: 3}", "3", "`seed`"),
        ("{truncated_normal: 0.02}", "0.02", "`stddev`"),
        ("{zeros: 1}", "1", "none"),
        ("{zeros: {gain: 1}}", "gain", "no arguments"),
        ("{truncated_normal: {std: 0.1}}", "std", "did you mean `stddev`?"),
        ("{truncated_normal: {stddev: x}}", "x", None),
        ("{truncated_normal: {stddev: true}}", "true", None),
        ("{variance_scaling: {mode: 3}}", "3", None),
        ("{kernel: {mean: 1}}", "1", "write `mean`"),
        ("{copy: -1}", "-1", "{copy: 3}"),
        ("{copy: 1.5}", "1.5", "{copy: 3}"),
        ("{kernel: {copy: true}}", "true", "{copy: 3}"),
        ("{copy: {at: 1}}", "{at: 1}", "{copy: 3}"),
    ],
)
def test_what_is_no_strategy(written: str, at: str, hint: str | None) -> None:
    (found,) = edit_problems(with_verb(written, "expand"))
    assert (found.code, marked(found)) == ("PC106", at)
    assert hint is None or hint in str(found.help)


def test_patchc_s_own_are_all_known() -> None:
    assert set(OWN_STRATEGIES) <= set(_OWN)
    assert set(_VERBS_OF) == set(_OWN) - {"default"}


@pytest.mark.parametrize("verb", [*VERBS, "init"])
@pytest.mark.parametrize("name", [*_OWN, "zeros"])
def test_which_strategy_goes_with_which_verb(verb: str, name: str) -> None:
    goes = verb in _VERBS_OF.get(name, (verb,)) and (verb != "shrink" or name == "sum")
    for init in (name, f"{{kernel: {name}}}"):
        found = edit_problems(with_verb(init, verb))
        assert codes(found) == ([] if goes else ["PC305"])
        assert all(one.help for one in found)
