"""What the scores are: probabilities, logits, or no scores at all; and which of several outputs holds them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from written_models import run_frozen

from edgecls.errors import InputError, NoScoresError, UnsupportedModelError
from edgecls.models import load_model

RNG = np.random.default_rng(3)
SHAPE = (6, 6, 3)


def with_head(framework: Any, head: Callable[[Any, Any], Any]) -> Any:
    """A model of pooled values [4] and whatever comes behind them."""
    image = framework.Input(SHAPE)
    value = framework.layers.GlobalAveragePooling2D()(framework.layers.Conv2D(4, 3)(image))
    return framework.Model(image, head(framework.layers, value))


def three(layers: Any, value: Any, activation: str | None) -> Any:
    return layers.Dense(3, activation=activation)(value)


def mean_of(layers: Any, value: Any, *activations: str | None) -> Any:
    return layers.Average()([three(layers, value, activation) for activation in activations])


def half_and_half(layers: Any, value: Any, share: float) -> Any:
    return layers.Add()([share * three(layers, value, "softmax") for _ in range(2)])


def complement(layers: Any, value: Any) -> Any:
    one = layers.Dense(1, activation="sigmoid")(value)
    return layers.Concatenate()([1 - one, one])


def shares(layers: Any, values: Any) -> Any:
    return values / layers.Dense(1, use_bias=False, kernel_initializer="ones")(values)


HEADS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "softmax": ("softmax", lambda layers, value: three(layers, value, "softmax")),
    "softmax layer": ("softmax", lambda layers, value: layers.Softmax()(three(layers, value, None))),
    "softmax of several axes": (
        "softmax",
        lambda layers, value: layers.Flatten()(layers.Softmax()(layers.Reshape((1, 1, 3))(three(layers, value, None)))),
    ),
    "sigmoid": ("sigmoid", lambda layers, value: three(layers, value, "sigmoid")),
    "hard sigmoid": ("sigmoid", lambda layers, value: three(layers, value, "hard_sigmoid")),
    "hard sigmoid written out": ("sigmoid", lambda layers, value: layers.ReLU(6.0)(three(layers, value, None) + 3.0) / 6.0),
    "rectifier": ("logits", lambda layers, value: layers.ReLU(6.0)(three(layers, value, None))),
    "logits": ("logits", lambda layers, value: three(layers, value, None)),
    "log of a softmax": ("logits", lambda layers, value: three(layers, value, "log_softmax")),
    "mean of three networks": ("softmax", lambda layers, value: mean_of(layers, value, "softmax", "softmax", "softmax")),
    "mean of sigmoids": ("sigmoid", lambda layers, value: mean_of(layers, value, "sigmoid", "sigmoid")),
    "mean of unlike ones": ("logits", lambda layers, value: mean_of(layers, value, "softmax", None)),
    "weighted mean": ("softmax", lambda layers, value: half_and_half(layers, value, 0.5)),
    "no mean": ("logits", lambda layers, value: half_and_half(layers, value, 1.5)),
    "one and its complement": ("softmax", complement),
    "shares of sigmoids": ("softmax", lambda layers, value: shares(layers, three(layers, value, "sigmoid"))),
    "mixture by a gate": (
        "softmax",
        lambda layers, value: layers.Dot(axes=1)(
            [layers.Dense(2, activation="softmax")(value), layers.Softmax()(layers.Reshape((2, 3))(layers.Dense(6)(value)))]
        ),
    ),
    "product of sigmoids": (
        "logits",
        lambda layers, value: layers.Multiply()([three(layers, value, "sigmoid") for _ in range(2)]),
    ),
    "mean over places": (
        "softmax",
        lambda layers, value: layers.GlobalAveragePooling1D()(
            layers.Dense(3, activation="softmax")(layers.Reshape((2, 2))(value))
        ),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_scores_are(framework, saved, name):
    kind, head = HEADS[name]
    if name == "log of a softmax" and framework.__name__ == "tf_keras":
        pytest.skip("Keras 2 has no such activation")
    assert load_model(saved(with_head(framework, head), "m.keras")).output_kind == kind


@pytest.mark.parametrize(("limits", "kind"), [((1e-7, 1 - 1e-7), "sigmoid"), ((0.0, 1.0), "sigmoid"), ((-1.0, 1.0), "logits")])
def test_a_clipped_sigmoid_is_one(keras, saved, limits, kind):
    """Of one score it decides where the threshold is: half, or 0, which none is below."""
    head = lambda layers, value: keras.ops.clip(layers.Dense(1, activation="sigmoid")(value), *limits)  # noqa: E731
    assert load_model(saved(with_head(keras, head), "m.keras")).output_kind == kind


def test_a_clipped_softmax_is_one(keras, saved):
    model = with_head(keras, lambda layers, value: keras.ops.clip(three(layers, value, "softmax"), 1e-7, 1 - 1e-7))
    assert load_model(saved(model, "m.keras")).output_kind == "softmax"


@pytest.mark.parametrize(("activation", "outputs"), [("softmax", 3), ("sigmoid", 3), ("sigmoid", 1)])
def test_a_softmax_or_sigmoid_is_put_behind_logits(framework, saved, tf, tmp_path, activation, outputs):
    source = with_head(framework, lambda layers, value: layers.Dense(outputs, name="scores")(value))
    images = 100 * RNG.standard_normal((4, *SHAPE)).astype(np.float32)
    logits = source.predict(images, verbose=0).astype(np.float64)
    odds = np.exp(logits)
    expected = odds / odds.sum(axis=1, keepdims=True) if activation == "softmax" else odds / (1 + odds)
    before = load_model(saved(source, "m.keras"))
    model = before.end_with(activation)
    # float32 logits of some tens are off by 1e-5 in another order of summation, and a probability by a quarter of that
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-5)
    np.testing.assert_allclose(run_frozen(model.freeze(tmp_path), images, tf), expected, atol=1e-5)
    assert (model.output_kind, before.output_kind) == (activation, "logits")
    np.testing.assert_allclose(run_frozen(before.freeze(tmp_path), images, tf), logits, rtol=1e-4, atol=1e-4)


def test_a_softmax_where_none_belongs_is_refused(keras, saved):
    probabilities = load_model(saved(with_head(keras, HEADS["softmax"][1]), "p.keras"))
    with pytest.raises(InputError, match=r"probabilities already \(softmax\); leave --add-sigmoid out"):
        probabilities.end_with("sigmoid")
    one = load_model(saved(with_head(keras, lambda layers, value: layers.Dense(1)(value)), "one.keras"))
    with pytest.raises(InputError, match="give --add-sigmoid"):
        one.end_with("softmax")
    assert one.end_with("sigmoid").output_kind == "sigmoid"


def advised(error: BaseException) -> str:
    """The output that a remedy names."""
    found = re.search(r"name one, as --output (\S+)$", str(error))
    assert found, str(error)
    return found[1]


def exported(tf: Any, path: Any, **outputs: Callable[[Any, Any], Any]) -> Any:
    """A SavedModel whose signature has these outputs, each made of logits and probabilities [n, 3]."""

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(RNG.standard_normal((3, 3)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32)])
        def serve(self, image):
            logits = tf.reduce_mean(image, axis=(1, 2)) @ self.weights
            return {name: make(logits, tf.nn.softmax(logits)) for name, make in outputs.items()}

    model = Model()
    tf.saved_model.save(model, str(path), signatures=model.serve)
    return path


def test_the_output_that_a_remedy_names_is_one_that_works(tf, tmp_path):
    path = exported(
        tf,
        tmp_path / "estimator",
        all_class_ids=lambda logits, _: tf.zeros_like(logits, tf.int32) + tf.range(3),
        class_ids=lambda logits, _: tf.argmax(logits, axis=-1)[:, None],
        classes=lambda logits, _: tf.as_string(tf.argmax(logits, axis=-1))[:, None],
        features=lambda logits, _: tf.reshape(logits, (-1, 1, 3, 1)) * tf.ones((1, 2, 1, 2)),
        logits=lambda logits, _: logits,
        probabilities=lambda _, probabilities: probabilities,
    )
    for output in (None, "no_such", "class_ids", "classes", "features"):
        with pytest.raises(UnsupportedModelError) as caught:
            load_model(path, output=output)
        assert advised(caught.value) == "probabilities"
    model = load_model(path, output="probabilities")
    assert (model.outputs, model.output_kind) == (3, "softmax")


@pytest.mark.parametrize("output", ["values", "places", "positions"])
def test_the_best_of_the_classes_are_no_scores_of_classes(tf, tmp_path, output):
    ranked = {
        "values": lambda _, probabilities: tf.math.top_k(probabilities, 3).values,
        "places": lambda _, probabilities: tf.math.top_k(probabilities, 3).indices,
        "positions": lambda _, probabilities: tf.cast(tf.math.top_k(probabilities, 3).indices, tf.float32),
    }
    path = exported(tf, tmp_path / "ranked", **ranked)
    with pytest.raises(NoScoresError, match="one score for each class") as caught:
        load_model(path, output=output)
    assert "save the model again" in str(caught.value)
    assert "--output" not in str(caught.value)
    with pytest.raises(UnsupportedModelError, match=r"3 outputs.*save the model again"):
        load_model(path)
    with_scores = exported(tf, tmp_path / "with_scores", **ranked, scores=lambda _, probabilities: probabilities)
    with pytest.raises(UnsupportedModelError) as caught:
        load_model(with_scores, output=output)
    assert advised(caught.value) == "scores"


def test_the_winner_alone_is_no_score(keras, saved):
    model = with_head(keras, lambda layers, value: keras.ops.argmax(three(layers, value, "softmax"), axis=-1))
    with pytest.raises(NoScoresError, match="save the model again"):
        load_model(saved(model, "winner.keras"))


def test_top_k_of_keras(keras, saved):
    model = with_head(keras, lambda layers, value: keras.ops.top_k(three(layers, value, "softmax"), 2))
    with pytest.raises(UnsupportedModelError, match="save the model again with one output of scores"):
        load_model(saved(model, "ranked.keras"))
