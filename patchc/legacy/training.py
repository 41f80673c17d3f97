"""What an older model was compiled with, as Keras 3 takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchc.layers.training import (
    BASE,
    DEFAULT_LEARNING_RATES,
    LOSS_NAMES,
    LOSSES,
    METRIC_NAMES,
    METRICS,
    OPTIMIZERS,
    SCHEDULES,
)
from patchc.legacy.notes import REGISTER, Notes, shown
from patchc.model.initializers import snake_case

Config = dict[str, Any]

_LOSS_COMMON = frozenset({"reduction", "name", "dtype"})
_METRIC_COMMON = frozenset({"name", "dtype"})
_SPEED = "it does not change what is computed"
_UNKNOWN_NEUTRAL = (None, False, 0, 0.0)


def repair_training(training: Mapping[str, Any], notes: Notes) -> Config:
    """`compile_config` of Keras 3, from that of an older one or from `training_config`."""
    told = training.get("optimizer_config", training.get("optimizer"))
    new: Config = dict(training) if "optimizer" in training else {}
    new["optimizer"] = repair_optimizer(told, notes)
    new["loss"] = _nested(training.get("loss"), _loss, notes)
    new["loss_weights"] = training.get("loss_weights")
    for key in ("metrics", "weighted_metrics"):
        new[key] = _flat(_nested(training.get(key), _metric, notes))
    if training.get("sample_weight_mode"):
        reason = "Keras 3 takes the weights of time steps by their shape"
        notes.repair("", "dropped `sample_weight_mode`", reason)
    return {key: value for key, value in new.items() if not _is_unset(key, value)}


def _is_unset(key: str, value: Any) -> bool:
    """Whether a key of `compile` says nothing, in words that Keras 3 does not take."""
    return value is None and key in {"run_eagerly", "steps_per_execution", "jit_compile"}


def _flat(metrics: Any) -> Any:
    """`[["accuracy"]]` of one output, as `["accuracy"]`."""
    if isinstance(metrics, list) and len(metrics) == 1 and isinstance(metrics[0], list):
        return metrics[0]
    return metrics


def _nested(value: Any, change: Callable[[Any, Notes], Any], notes: Notes) -> Any:
    """A structure of lists and dicts with each loss or metric in it changed."""
    if isinstance(value, list):
        return [_nested(item, change, notes) for item in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _nested(item, change, notes) for key, item in value.items()}
    return None if value is None else change(value, notes)


# ------------------------------------------------------------------------ optimizer


def repair_optimizer(told: Any, notes: Notes) -> Any:
    """An optimizer's serialised configuration; a name stays a name."""
    if not isinstance(told, Mapping) or not isinstance(told.get("config"), Mapping):
        return told
    registered = str(told["class_name"])
    name = registered.removeprefix("Custom>").removeprefix("Experimental>")
    if name != registered:
        notes.repair("", f"optimizer `{registered}` became `{name}`", "it is Keras's own")
    if name == "LossScaleOptimizer":
        return _loss_scaled(dict(told), notes)
    if name not in OPTIMIZERS:
        notes.miss("", registered, "its optimizer is not one of Keras", REGISTER)
        return {**told, "module": None, "registered_name": told.get("registered_name") or name}
    config = dict(told["config"])
    _learning_rate(name, config, notes)
    _drop_unknown(name, config, notes)
    return _serialised("keras.optimizers", name, config)


def _loss_scaled(told: Config, notes: Notes) -> Any:
    config = told["config"]
    inner = config.get("inner_optimizer", config.get("optimizer"))
    kept = {
        key: config[key] for key in ("initial_scale", "dynamic_growth_steps") if config.get(key)
    }
    kept["inner_optimizer"] = repair_optimizer(inner, notes)
    return _serialised("keras.optimizers", "LossScaleOptimizer", kept)


def _learning_rate(name: str, config: Config, notes: Notes) -> None:
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
        notes.repair("", f"`lr` of {name} became `learning_rate`", "Keras 2.3 renamed it")
    rate = config.setdefault("learning_rate", DEFAULT_LEARNING_RATES.get(name, 0.001))
    if isinstance(rate, Mapping) and rate.get("class_name") in SCHEDULES:
        config["learning_rate"] = rate = _serialised(
            "keras.optimizers.schedules", rate["class_name"], dict(rate["config"])
        )
    decay = config.pop("decay", None)
    if decay and isinstance(rate, (int, float)):
        arguments = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = _serialised(
            "keras.optimizers.schedules", "InverseTimeDecay", arguments
        )
        what = f"`decay: {shown(decay)}` of {name} became the schedule InverseTimeDecay"
        notes.repair("", what, "Keras 3 has no decay; the schedule computes the same rate")
    elif decay is not None:
        notes.repair("", f"dropped `decay` of {name}", "Keras 3 has no decay; it was zero")


def _drop_unknown(name: str, config: Config, notes: Notes) -> None:
    known = set(BASE.split()) | set(OPTIMIZERS[name].split())
    if "epsilon" in known and config.get("epsilon", 0) is None:
        config["epsilon"] = 1e-7
        notes.repair("", f"`epsilon: null` of {name} became 1e-07", "that is what null meant")
    for key in [key for key in config if key not in known]:
        value = config.pop(key)
        neutral = value in _UNKNOWN_NEUTRAL or key in {"jit_compile", "is_legacy_optimizer"}
        reason = _SPEED if neutral else f"Keras 3 has no such argument; it was {shown(value)}"
        notes.repair("", f"dropped `{key}` of {name}", reason)


def _serialised(module: str, name: str, config: Config) -> Config:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


# ---------------------------------------------------------------- losses and metrics


def _loss(told: Any, notes: Notes) -> Any:
    if isinstance(told, str):
        return _by_name(told, LOSS_NAMES, "loss", notes)
    name, config = _class_and_config(told)
    function = config.pop("fn", None)
    if name == "LossFunctionWrapper" and isinstance(function, str):
        return _by_name(function, LOSS_NAMES, "loss", notes)
    if name not in LOSSES:
        return _foreign(told, name, "loss", notes)
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
        notes.repair("", f"`reduction: auto` of {name} became `sum_over_batch_size`", "it meant it")
    _keep_known(name, config, LOSSES[name], _LOSS_COMMON, notes)
    return _serialised("keras.losses", name, config)


def _metric(told: Any, notes: Notes) -> Any:
    if isinstance(told, str):
        return _by_name(told, METRIC_NAMES, "metric", notes)
    name, config = _class_and_config(told)
    if name in {"MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"}:
        return _wrapped(config, notes)
    if name not in METRICS:
        return _foreign(told, name, "metric", notes)
    config.pop("fn", None)
    _keep_known(name, config, METRICS[name], _METRIC_COMMON, notes)
    return _serialised("keras.metrics", name, config)


def _wrapped(config: Config, notes: Notes) -> Any:
    """A metric that was written as a function with a name around it."""
    function = config.pop("fn", None)
    label = config.get("name")
    by_function = {snake_case(known): known for known in METRICS}
    if isinstance(function, str) and function in by_function:
        found = by_function[function]
        notes.repair("", f"metric `{label}` became `{found}`", "Keras 3 has a class for it")
        return _serialised("keras.metrics", found, {"name": label})
    chosen = function if isinstance(function, str) else label
    return _by_name(str(chosen), METRIC_NAMES, "metric", notes)


def _class_and_config(told: Any) -> tuple[str, Config]:
    if not isinstance(told, Mapping):
        raise TypeError("a loss or metric that is neither a name nor an object")
    if told.get("class_name") == "function":
        return str(told.get("config")), {}
    inner = told.get("config")
    return str(told.get("class_name")), dict(inner) if isinstance(inner, Mapping) else {}


def _by_name(name: str, known: frozenset[str], what: str, notes: Notes) -> str:
    snake = snake_case(name)
    if name in known:
        return name
    if snake in known:
        notes.repair("", f"{what} `{name}` became `{snake}`", "Keras 3 calls it so")
        return snake
    notes.miss("", name, f"its {what} is not one of Keras", REGISTER)
    return name


def _foreign(told: Any, name: str, what: str, notes: Notes) -> Any:
    if told.get("class_name") == "function":
        known = LOSS_NAMES if what == "loss" else METRIC_NAMES
        return _by_name(name, known, what, notes)
    notes.miss("", name, f"its {what} is not one of Keras", REGISTER)
    registered = told.get("registered_name") or name
    return {"module": told.get("module"), **told, "registered_name": registered}


def _keep_known(name: str, config: Config, own: str, common: frozenset[str], notes: Notes) -> None:
    for key in [key for key in config if key not in common and key not in own.split()]:
        value = config.pop(key)
        reason = f"Keras 3 has no such argument; it was {shown(value)}"
        notes.repair("", f"dropped `{key}` of {name}", reason)
