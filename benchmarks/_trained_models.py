"""Classifiers that are trained on the spot for the benchmark of compression."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FLOWERS_PX = 128
_SEED = 7


def train_tutorial_cnn(cifar10: Path, path: Path) -> None:
    """The CNN of most tutorials, on CIFAR-10, with Keras 3: BatchNorm after the activations, Dropout, BatchNorm after Dense."""
    keras: Any = importlib.import_module("keras")
    keras.utils.set_random_seed(_SEED)
    layers = keras.layers
    blocks = []
    for filters in (32, 64, 128):
        for _ in range(2):
            blocks += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.BatchNormalization()]
        blocks += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), *blocks, *head, layers.Dense(10, activation="softmax")]
    )
    with np.load(cifar10) as data:
        images, labels = data["x_train"].astype(np.float32), data["y_train"]
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    for rate, epochs in ((1e-3, 14), (1e-4, 4)):
        model.optimizer.learning_rate = rate
        model.fit(images, labels, epochs=epochs, batch_size=64, verbose=0)
    model.save(path)


def train_flowers(mobilenet: Path, flowers: Path, path: Path) -> None:
    """Transfer learning as its guides show it: a nested MobileNetV1-0.25 with ImageNet weights, and a new head; Keras 2."""
    tf_keras: Any = importlib.import_module("tf_keras")
    tf_keras.utils.set_random_seed(_SEED)
    layers, source = tf_keras.layers, tf_keras.models.load_model(mobilenet, compile=False)
    base = tf_keras.applications.MobileNet((FLOWERS_PX, FLOWERS_PX, 3), alpha=0.25, include_top=False, weights=None)
    donors = [layer for layer in source.layers if layer.weights]
    for layer, donor in zip([layer for layer in base.layers if layer.weights], donors, strict=False):  # the donor's head is left
        layer.set_weights(donor.get_weights())
    inputs = tf_keras.Input((FLOWERS_PX, FLOWERS_PX, 3))
    value = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    value = layers.GlobalAveragePooling2D()(base(value))
    value = layers.Dropout(0.2)(value)
    model = tf_keras.Model(inputs, layers.Dense(5, activation="softmax")(value))
    images, labels = _flower_images(flowers / "train")
    for trainable, rate, epochs in ((False, 1e-3, 12), (True, 1e-4, 12)):
        base.trainable = trainable
        model.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        model.fit(images, labels, epochs=epochs, batch_size=32, verbose=0)
    model.save(path)


def split_flowers(flowers: Path, folder: Path) -> None:
    """`train` and `test` folders of links to the photos: every fourth is for the test."""
    for index, photo in enumerate(sorted(flowers.glob("*/*.jpg"))):
        part = folder / ("test" if index % 4 == 3 else "train") / photo.parent.name
        part.mkdir(parents=True, exist_ok=True)
        (part / photo.name).symlink_to(photo)


def _flower_images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(path.name for path in folder.iterdir())
    photos = sorted(folder.glob("*/*.jpg"))
    size = (FLOWERS_PX, FLOWERS_PX)
    pixels = np.stack([np.asarray(Image.open(photo).convert("RGB").resize(size, Image.Resampling.BILINEAR)) for photo in photos])
    return pixels.astype(np.float32), np.array([names.index(photo.parent.name) for photo in photos])
