"""Values inside a model: what named layers compute on given inputs, so that another format's tensors can be recognized by them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.models.loaded_model import LoadedModel
from edgecls.system.extras import require


def layer_values(loaded: LoadedModel, names: Iterable[str], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of layers of a tf_keras model in inference mode.

    Args:
        names: of layers; `name:1` is the second call of a shared layer, the model's input has the name of its Input layer.
        inputs: [n, *input_shape], float32.

    Returns:
        name -> values [n, ...].

    Raises:
        ArtifactError: the model has no such layer.
    """
    tf, tf_keras, model = require("tensorflow"), require("tf_keras"), loaded.model
    tensors = {}
    for name in names:
        layer, _, call = name.partition(":")
        try:
            tensors[name] = model.get_layer(layer).get_output_at(int(call or 0))
        except ValueError:
            raise ArtifactError(
                "learned ranges that belong to the model",
                f"one of the layer {name!r}, which it does not have",
                "compress it again",
            ) from None
    probe = tf_keras.Model(model.inputs, list(tensors.values()))
    values = tf.function(lambda batch: tf.nest.flatten(probe(batch, training=False)), autograph=False)(tf.constant(inputs))
    return {name: value.numpy() for name, value in zip(tensors, values, strict=True)}
