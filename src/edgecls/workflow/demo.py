"""demo: the whole flow on a classifier trained on the spot, on scikit-learn's real handwritten digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgecls.data.digits import DIGITS_NAME, digits_split
from edgecls.records.recipe import BASE, Recipe
from edgecls.system.extras import require
from edgecls.workflow.compress import CompressOptions
from edgecls.workflow.convert_options import ConvertOptions
from edgecls.workflow.convert_set import set_options

EPOCHS = 30
BATCH = 32
SEED = 7
_DATA, _LABELS_NAME = Path(DIGITS_NAME), "labels.txt"
LABELS = [str(digit) for digit in range(10)]


def train_demo_model(folder: Path) -> Path:
    """Train a small CNN on the digits' training half and save it.

    The model takes pixels 0..255 as they are: a Rescaling layer inside brings them to 0..1.

    Returns:
        The model file; a label file lies beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)  # before the training: a place that cannot be written is known at once
    keras = require("keras")
    pixels, classes = digits_split("calibration")
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*pixels.shape[1:3], 1), name="image"),
            layers.Rescaling(1 / 255),
            *_block(layers, 16),
            *_block(layers, 32),
            layers.MaxPooling2D(),
            *_block(layers, 48),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_cnn",
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images = np.asarray(pixels, np.float32).reshape(-1, *model.input_shape[1:])
    model.fit(images, classes, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    path = folder / "digits_cnn.keras"
    model.save(path)
    (folder / _LABELS_NAME).write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    return path


def compress_options(model: Path, folder: Path) -> CompressOptions:
    """How the demo's model is compressed: pruned to half, trained with int8 rounding, and both."""
    training = {"epochs": 6, "learning_rate": 1e-3, "distillation": {}}
    recipe = Recipe.model_validate({"pruning": {"sparsity": 0.5}, "qat": {}, "training": training})
    return CompressOptions(model, _DATA, recipe, output=folder / "digits_cnn.variants", labels=folder / _LABELS_NAME)


def convert_options(model: Path, variants: Path, folder: Path) -> list[ConvertOptions]:
    """What is converted, one after another, into one folder: the base to everything, its variants to int8."""
    base = ConvertOptions(
        model, output=folder / "digits_cnn.artifacts", calibration=_DATA, data=_DATA, labels=folder / _LABELS_NAME
    )
    jobs = set_options(replace(base, model=variants, labels=None, schemes="int8"))
    return [base, *(job for name, job in jobs.items() if name != BASE)]


def _block(layers, filters: int) -> list:
    return [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
