"""demo: the whole flow on a classifier trained on the spot, on scikit-learn's real handwritten digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.data.digits import DIGITS_NAME, digits_split
from edgecls.extras import require

EPOCHS = 30
BATCH = 32
SEED = 7
LABELS = [str(digit) for digit in range(10)]


def train_demo_model(folder: Path) -> Path:
    """Train a small CNN on the digits' training half and save it.

    The model takes pixels 0..255 as they are: a Rescaling layer inside brings them to 0..1.

    Returns:
        The model file; a label file lies beside it.
    """
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
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "digits_cnn.keras"
    model.save(path)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    return path


def demo_data() -> Path:
    """Name of the bundled digits, as `--data` and `--calibration` take it."""
    return Path(DIGITS_NAME)


def _block(layers, filters: int) -> list:
    return [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
