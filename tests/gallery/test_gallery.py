"""Every patch of the gallery does on a fitting model what its comment says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest

import patchc
from tests.acceptance.judge import (
    Judged,
    assert_close,
    assert_same_function,
    judge,
    logits,
    outputs,
    sample,
    variables,
)
from tests.conftest import Zoo

GALLERY = Path(__file__).parents[2] / "patches"
SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/patch.v1.schema.json"


@dataclass(frozen=True)
class Case:
    """What a patch is tried on.

    Args:
        model: its name in the zoo.
        check: what its comment promises beyond what holds of every result.
        settings: values of parameters that have no default.
        warns: codes of the plan's warnings.
    """

    model: str
    check: Callable[[Judged], None]
    settings: dict[str, str] = field(default_factory=dict)
    warns: tuple[str, ...] = ()


def _trains(judged: Judged) -> set[str]:
    """Paths of the layers that train in the result."""
    training = {id(variable) for variable in judged.result.trainable_weights}
    found = variables(judged.result).items()
    return {path.rpartition("/")[0] for path, v in found if id(v) in training}


def _classes(judged: Judged) -> set[str]:
    return {type(layer).__name__ for layer in judged.result.layers}


def _unchanged(judged: Judged) -> None:
    assert_same_function(judged)
    assert set(judged.fates) <= {"kept", "new", "grown"}


def _exactly_unchanged(judged: Judged) -> None:
    assert_same_function(judged, relative=0)
    assert set(judged.fates) == {"kept"}


def _add_classes(judged: Judged) -> None:
    given = sample(judged.base)
    head = judged.result.layers[-1].name
    (old,), (new,) = (logits(model, head, given) for model in (judged.base, judged.result))
    assert new.shape == (2, 12)
    assert_close(new[:, :10], old)
    assert judged.plan.optimizer.counts() == {"kept": 6, "grown": 4, "new": 0, "dropped": 0}
    steps = judged.result.optimizer.iterations
    assert int(steps) == int(judged.base.optimizer.iterations) > 0
    judged.result.train_on_batch(np.ones((4, 20)), np.array([0, 10, 11, 9]))


def _new_head(judged: Judged) -> None:
    assert judged.result.output_shape == (None, 5)
    assert _trains(judged) == {"predictions"}
    assert judged.fates["dropped"] == judged.fates["new"] == 2


def _binary_head(judged: Judged) -> None:
    assert judged.result.output_shape == (None, 1)
    assert judged.result.layers[-1].activation is keras.activations.sigmoid
    assert _trains(judged) == {judged.result.layers[-1].name}
    assert judged.fates == {"kept": 260, "new": 2, "dropped": 2}


def _new_top(judged: Judged) -> None:
    assert judged.result.output_shape == (None, 12)
    assert _trains(judged) == {"fc", "predictions"}
    assert judged.fates == {"kept": 376, "new": 4}


def _last_stage(judged: Judged) -> None:
    trains = _trains(judged)
    assert "predictions" in trains
    assert "conv5_block1_0_conv" in trains
    assert not any("_bn" in name or not name.startswith(("conv5", "pred")) for name in trains)
    assert_same_function(judged, relative=0)


def _appended(judged: Judged) -> None:
    assert judged.result.output_shape == (None, 7)
    assert _trains(judged) == {"extra", "new_predictions"}
    inner = keras.Model(judged.result.input, judged.result.get_layer("predictions").output)
    given = sample(judged.base)
    assert_close(outputs(inner, given)[0], outputs(judged.base, given)[0], 0)


def _swapped(judged: Judged) -> None:
    assert judged.result.get_layer("block1_conv2").dilation_rate == (2, 2)
    assert judged.fates == {"kept": 30, "new": 2, "dropped": 2}


def _dropout(judged: Judged) -> None:
    _exactly_unchanged(judged)
    names = [layer.name for layer in judged.result.layers]
    assert [names[names.index(n) - 1] for n in ("fc1", "fc2")] == ["dropout", "dropout_1"]


def _normalised(judged: Judged) -> None:
    _unchanged(judged)
    assert judged.fates == {"kept": 32, "new": 52}


def _wider(judged: Judged) -> None:
    _unchanged(judged)
    assert judged.result.get_layer("fc1").units == 512 + 128
    assert not judged.after["fc2/kernel"][512:].any()
    assert judged.after["fc1/kernel"][:, 512:].std() > 0.01


def _slim(judged: Judged) -> None:
    assert judged.result.output_shape == (None, 10)
    assert judged.fates == {"kept": 26, "new": 4, "dropped": 6}


def _second_output(judged: Judged) -> None:
    given = sample(judged.base)
    new = outputs(judged.result, given)
    assert_close(new[0], outputs(judged.base, given)[0], 0)
    assert judged.result.output_names == ["predictions", "is_indoor"]
    assert new[1].shape == (2, 1)


def _exposed(judged: Judged) -> None:
    given = sample(judged.base)
    features = keras.Model(judged.base.input, judged.base.get_layer("fc2").output)
    new = outputs(judged.result, given)
    assert_close(new[0], outputs(judged.base, given)[0], 0)
    assert_close(new[1], outputs(features, given)[0], 0)
    assert judged.fates == {"kept": 32}


def _extractor(judged: Judged) -> None:
    given = sample(judged.base)
    inner = judged.base.layers[0]
    features = keras.Model(inner.input, inner.get_layer("block_13_expand_relu").output)
    assert_close(outputs(judged.result, given)[0], outputs(features, given)[0])
    assert "dropped" in judged.fates


def _deeper_transformer(judged: Judged) -> None:
    _unchanged(judged)
    assert judged.result.count_params() > judged.base.count_params()
    copies = [path for path in judged.after if path.startswith("block_11_fc_1/")]
    assert len(copies) == 2
    for path in copies:
        assert (judged.after[path] == judged.after[path.replace("fc_1", "fc")]).all()
    assert not judged.after["block_11_proj_1/kernel"].any()


def _adapted(judged: Judged) -> None:
    _unchanged(judged)
    assert _trains(judged) == {"adapter_down", "adapter_up"}


def _replaced_block(judged: Judged) -> None:
    assert judged.result.get_layer("conv5_block1_out").output.shape == (None, 2, 2, 2048)
    assert judged.fates == {"kept": 296, "new": 5, "dropped": 24}


def _removed_block(judged: Judged) -> None:
    assert judged.fates == {"kept": 302, "dropped": 18}
    given = sample(judged.base)
    cut = [m.get_layer("conv5_block2_out").output for m in (judged.base, judged.result)]
    one, two = keras.Model(judged.base.input, cut[0]), keras.Model(judged.result.input, cut[1])
    assert_close(outputs(two, given)[0], outputs(one, given)[0], 0)


def _reset(judged: Judged) -> None:
    assert judged.fates == {"kept": 26, "reinitialised": 6}
    for name in ("fc1", "fc2", "predictions"):
        assert not judged.after[f"{name}/bias"].any()
        assert (judged.after[f"{name}/kernel"] != judged.before[f"{name}/kernel"]).mean() > 0.99


def _renamed(judged: Judged) -> None:
    _exactly_unchanged(judged)
    assert judged.result.output_names == ["flowers"]


def _decays(judged: Judged) -> None:
    _exactly_unchanged(judged)
    assert len(judged.result.losses) == len(judged.base.losses) + 16 == 16
    kernel = judged.result.get_layer("block1_conv1").kernel
    expected = 1e-4 * float(keras.ops.sum(keras.ops.square(kernel)))
    assert float(judged.result.losses[0]) == pytest.approx(expected, rel=1e-5)


def _dropped_more(judged: Judged) -> None:
    _exactly_unchanged(judged)
    rates = [layer.rate for layer in judged.result.layers if type(layer) is keras.layers.Dropout]
    assert rates == [0.5, 0.5]


def _half(judged: Judged) -> None:
    assert {v.dtype for v in judged.result.weights} == {"float32"}
    assert judged.result.get_layer("conv_1").compute_dtype == "float16"
    (new,), (old,) = outputs(judged.result), outputs(judged.base)
    assert judged.result.output.dtype == "float32"
    assert_close(new, old, 0.02)


def _larger(judged: Judged) -> None:
    assert judged.result.input_shape == (None, 299, 299, 3)
    assert judged.result.output_shape == (None, 9, 9, 64)


def _more_tokens(judged: Judged) -> None:
    (old,), (new,) = outputs(judged.base), outputs(judged.result, sample(judged.base))
    assert new.shape[-1] == old.shape[-1] + 8
    assert_close(new[..., : old.shape[-1]], old)
    fresh = judged.after["token_embedding/embeddings"][40:]
    assert np.unique(fresh).size == fresh.size
    mean = judged.before["lm_head/kernel"].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(judged.after["lm_head/kernel"][:, 40:], np.tile(mean, 8), rtol=1e-5)


def _new_words(judged: Judged) -> None:
    assert_same_function(judged)
    old, new = (m.get_layer("titles").get_vocabulary() for m in (judged.base, judged.result))
    assert new == [*old, "kayak", "tent"]
    rows = judged.after["title_vectors/embeddings"]
    np.testing.assert_array_equal(rows[-2:], rows[[0, 0]])


def _wider_transformer(judged: Judged) -> None:
    assert_same_function(judged)
    assert judged.result.get_layer("token_embedding").output_dim == 28
    assert judged.result.get_layer("block_10_mha").num_heads == 3


def _more_objects(judged: Judged) -> None:
    given = sample(judged.base)
    new = outputs(judged.result, given)
    assert [part.shape[-1] for part in new] == [6, 24, 6]
    for old, part in zip(outputs(judged.base, given), new, strict=True):
        assert_close(part[..., : old.shape[-1]], old)


def _more_per_anchor(judged: Judged) -> None:
    given = sample(judged.base)
    for old, new in zip(outputs(judged.base, given), outputs(judged.result, given), strict=True):
        shape = (*old.shape[:-1], 3, -1)
        old, new = old.reshape(shape), new.reshape(shape)  # noqa: PLW2901 (the same, by anchor)
        assert_close(new[..., :85], old)
        np.testing.assert_allclose(new[..., 85], -4.6, rtol=1e-6)


CASES = {
    "adapter": Case("resnet50", _adapted),
    "remove-residual-block": Case("resnet50", _removed_block),
    "replace-residual-block": Case("resnet50", _replaced_block),
    "resnet50-new-head": Case("resnet50", _new_head),
    "unfreeze-last-stage": Case("resnet50", _last_stage),
    "add-output": Case("vgg16", _second_output),
    "deeper-head": Case("vgg16", _unchanged, {"units": "512"}),
    "expose-features": Case("vgg16", _exposed),
    "insert-dropout": Case("vgg16", _dropout),
    "insert-normalisation": Case("vgg16", _normalised),
    "reset-layers": Case("vgg16", _reset),
    "slim-top": Case("vgg16", _slim),
    "swap-convolution": Case("vgg16", _swapped),
    "vgg16-new-head": Case("vgg16", _new_head),
    "weight-decay": Case("vgg16", _decays),
    "wider-layer": Case("vgg16", _wider),
    "larger-images": Case("vgg16_features", _larger),
    "feature-extractor": Case("mobilenet", _extractor),
    "mobilenetv2-binary-head": Case("mobilenet", _binary_head),
    "inceptionv3-new-top": Case("inception_features", _new_top, {"classes": "12"}),
    "add-classes": Case("mlp", _add_classes),
    "append-layers": Case("tower", _appended, warns=("PC903",)),
    "rename-layer": Case("tower", _renamed),
    "more-dropout": Case("dropouts", _dropped_more),
    "mixed-precision": Case("convnet", _half),
    "grow-vocabulary": Case("gpt", _more_tokens),
    "append-tokens": Case("lookups", _new_words),
    "wider-transformer": Case("gpt", _wider_transformer),
    "one-more-transformer-block": Case("gpt", _deeper_transformer),
    "one-more-object": Case("detector", _more_objects),
    "one-more-class-per-anchor": Case("anchors", _more_per_anchor),
}


def test_every_patch_of_the_gallery_is_tried() -> None:
    assert {path.stem for path in GALLERY.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_patch(name: str, zoo: Zoo, tmp_path: Path) -> None:
    case = CASES[name]
    patch = patchc.load(GALLERY / f"{name}.yaml", case.settings)
    judged = judge(zoo(case.model), patch, tmp_path)
    assert tuple(dict.fromkeys(judged.warned)) == case.warns
    case.check(judged)


@pytest.mark.parametrize("name", CASES)
def test_patch_explains_itself(name: str) -> None:
    path = GALLERY / f"{name}.yaml"
    first, blank, question, *rest = path.read_text("utf-8").split("\n")
    assert (first, blank) == (SCHEMA_LINE, "")
    assert question.startswith("# ")
    comments = "\n".join(line for line in [question, *rest] if line.startswith("#"))
    assert "?" in comments
    assert "# For your model:" in comments
    assert "# What you get:" in comments
    patch = patchc.load(path, CASES[name].settings)
    assert patch.id == name
    assert patch.description
    assert not patch.warnings
