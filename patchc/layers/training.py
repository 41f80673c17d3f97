"""The classes and names that a training configuration is made of.

Arguments are those of Keras 3.15; a test holds the tables against Keras.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from patchc.layers.base import RuleError
from patchc.layers.objects import is_serialised, serialised
from patchc.model.initializers import snake_case

BASE = (
    "learning_rate weight_decay clipnorm clipvalue global_clipnorm use_ema ema_momentum"
    " ema_overwrite_frequency loss_scale_factor gradient_accumulation_steps name"
)
"""Arguments that every optimizer takes."""
OPTIMIZERS = {
    "Adadelta": "rho epsilon",
    "Adafactor": "beta_2_decay epsilon_1 epsilon_2 clip_threshold relative_step",
    "Adagrad": "initial_accumulator_value epsilon",
    "Adam": "beta_1 beta_2 epsilon amsgrad",
    "AdamW": "beta_1 beta_2 epsilon amsgrad",
    "Adamax": "beta_1 beta_2 epsilon",
    "Ftrl": (
        "learning_rate_power initial_accumulator_value l1_regularization_strength"
        " l2_regularization_strength l2_shrinkage_regularization_strength beta"
    ),
    "Lamb": "beta_1 beta_2 epsilon",
    "Lion": "beta_1 beta_2",
    "Muon": (
        "adam_beta_1 adam_beta_2 adam_weight_decay epsilon exclude_layers"
        " exclude_embeddings muon_a muon_b muon_c adam_lr_ratio momentum ns_steps"
        " nesterov rms_rate"
    ),
    "Nadam": "beta_1 beta_2 epsilon",
    "RMSprop": "rho momentum epsilon centered",
    "SGD": "momentum nesterov",
    "ScheduleFreeAdamW": "beta_1 beta_2 epsilon warmup_steps",
}
"""Class -> its own arguments; all take those of the base class too."""

DEFAULT_LEARNING_RATES = {"SGD": 0.01, "ScheduleFreeAdamW": 0.0025}
"""What is not 0.001."""

SCHEDULES = {
    "CosineDecay": "initial_learning_rate decay_steps alpha warmup_target warmup_steps",
    "CosineDecayRestarts": "initial_learning_rate first_decay_steps t_mul m_mul alpha",
    "ExponentialDecay": "initial_learning_rate decay_steps decay_rate staircase",
    "InverseTimeDecay": "initial_learning_rate decay_steps decay_rate staircase",
    "PiecewiseConstantDecay": "boundaries values",
    "PolynomialDecay": "initial_learning_rate decay_steps end_learning_rate power cycle",
}
LOSSES = {
    "BinaryCrossentropy": "from_logits label_smoothing axis",
    "BinaryFocalCrossentropy": "apply_class_balancing alpha gamma from_logits label_smoothing axis",
    "CTC": "",
    "CategoricalCrossentropy": "from_logits label_smoothing axis",
    "CategoricalFocalCrossentropy": "alpha gamma from_logits label_smoothing axis",
    "CategoricalGeneralizedCrossEntropy": "q",
    "CategoricalHinge": "",
    "Circle": "gamma margin remove_diagonal",
    "CosineSimilarity": "axis",
    "Dice": "axis",
    "Hinge": "",
    "Huber": "delta",
    "KLDivergence": "",
    "LogCosh": "",
    "MeanAbsoluteError": "",
    "MeanAbsolutePercentageError": "",
    "MeanSquaredError": "",
    "MeanSquaredLogarithmicError": "",
    "Poisson": "",
    "SparseCategoricalCrossentropy": "from_logits ignore_class axis",
    "SquaredHinge": "",
    "Tversky": "alpha beta axis",
}
METRICS = {
    "AUC": (
        "num_thresholds curve summation_method thresholds multi_label num_labels"
        " label_weights from_logits"
    ),
    "Accuracy": "",
    "BinaryAccuracy": "threshold",
    "BinaryCrossentropy": "from_logits label_smoothing",
    "BinaryIoU": "target_class_ids threshold",
    "CategoricalAccuracy": "",
    "CategoricalCrossentropy": "from_logits label_smoothing axis",
    "CategoricalHinge": "",
    "ConcordanceCorrelation": "axis",
    "CosineSimilarity": "axis",
    "F1Score": "average threshold",
    "FBetaScore": "average beta threshold",
    "FalseNegatives": "thresholds",
    "FalsePositives": "thresholds",
    "Hinge": "",
    "IoU": "num_classes target_class_ids ignore_class sparse_y_true sparse_y_pred axis",
    "KLDivergence": "",
    "LogCoshError": "",
    "Mean": "",
    "MeanAbsoluteError": "",
    "MeanAbsolutePercentageError": "",
    "MeanIoU": "num_classes ignore_class sparse_y_true sparse_y_pred axis",
    "MeanSquaredError": "",
    "MeanSquaredLogarithmicError": "",
    "OneHotIoU": "num_classes target_class_ids ignore_class sparse_y_pred axis",
    "OneHotMeanIoU": "num_classes ignore_class sparse_y_pred axis",
    "PearsonCorrelation": "axis",
    "Poisson": "",
    "Precision": "thresholds top_k class_id",
    "PrecisionAtRecall": "recall num_thresholds class_id",
    "R2Score": "class_aggregation num_regressors",
    "Recall": "thresholds top_k class_id",
    "RecallAtPrecision": "precision num_thresholds class_id",
    "RootMeanSquaredError": "",
    "SensitivityAtSpecificity": "specificity num_thresholds class_id",
    "SparseCategoricalAccuracy": "",
    "SparseCategoricalCrossentropy": "from_logits ignore_class axis",
    "SparseTopKCategoricalAccuracy": "k from_sorted_ids",
    "SpecificityAtSensitivity": "sensitivity num_thresholds class_id",
    "SquaredHinge": "",
    "Sum": "",
    "TopKCategoricalAccuracy": "k",
    "TrueNegatives": "thresholds",
    "TruePositives": "thresholds",
}
_SHORT = {"bce", "mae", "mape", "mse", "msle", "BCE", "MAE", "MAPE", "MSE", "MSLE"}
LOSS_NAMES = frozenset(
    {*map(snake_case, LOSSES), *_SHORT, "kld", "KLD"} - {"categorical_generalized_cross_entropy"}
)
"""What Keras understands as a loss by name."""
METRIC_NAMES = frozenset({*map(snake_case, METRICS), *_SHORT, "acc", "crossentropy", "ce"})
"""What Keras understands as a metric by name."""


def optimizer(value: Any, current: Mapping[str, Any] | None) -> dict[str, Any]:
    """An optimizer as a patch gives it, serialised.

    Args:
        value: `Adam`, or `{Adam: {learning_rate: 0.001}}`.
        current: the stored optimizer; one of the same class keeps the
            arguments that are not given.

    Raises:
        RuleError: for a class or argument that Keras does not have.
    """
    name, given = _one_class(value, OPTIMIZERS, "optimizer", f"{BASE}")
    config = {key: item for key, item in given.items() if key != "learning_rate"}
    if current is not None and current.get("class_name") == name:
        config = {**current["config"], **config}
    config.setdefault("learning_rate", DEFAULT_LEARNING_RATES.get(name, 0.001))
    if "learning_rate" in given:
        config["learning_rate"] = learning_rate(given["learning_rate"])
    return serialised("keras.optimizers", name, config)


def learning_rate(value: Any) -> Any:
    """A number, or a schedule `{ExponentialDecay: {...}}`, serialised.

    Raises:
        RuleError: for anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    name, config = _one_class(value, SCHEDULES, "learning rate schedule", "name")
    return serialised("keras.optimizers.schedules", name, config)


def loss(value: Any) -> Any:
    """A loss: null, a name, or `{Class: {argument: value}}`, serialised.

    Raises:
        RuleError: for a loss that Keras does not have.
    """
    if value is None or (isinstance(value, str) and value in LOSS_NAMES):
        return value
    name, config = _one_class(value, LOSSES, "loss", "reduction name dtype", names=LOSS_NAMES)
    return serialised("keras.losses", name, config)


def metric(value: Any) -> Any:
    """A metric: a name, or `{Class: {argument: value}}`, serialised.

    Raises:
        RuleError: for a metric that Keras does not have.
    """
    if isinstance(value, str) and value in METRIC_NAMES:
        return value
    name, config = _one_class(value, METRICS, "metric", "name dtype", names=METRIC_NAMES)
    return serialised("keras.metrics", name, config)


def _one_class(
    value: Any,
    table: Mapping[str, str],
    what: str,
    common: str,
    names: Iterable[str] = (),
) -> tuple[str, dict[str, Any]]:
    """Class name and arguments of a Keras object as a patch gives it."""
    if is_serialised(value):
        return value["class_name"], dict(value["config"])
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RuleError(f"must be a {what}: a class name, or one class with its arguments")
    [(name, config)] = value.items()
    by_snake = {snake_case(known): known for known in table} | {k.lower(): k for k in table}
    found = name if name in table else by_snake.get(str(name))
    if found is None:
        near = difflib.get_close_matches(str(name), [*table, *names], n=1)
        hint = f", did you mean `{near[0]}`?" if near else ""
        raise RuleError(f"must be a {what} of Keras, not `{name}`{hint}")
    known = [*table[found].split(), *common.split()]
    for key in config or {}:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f", did you mean `{near[0]}`?" if near else ""
            raise RuleError(f"has an argument `{key}` that {found} does not take{hint}")
    return found, dict(config or {})
