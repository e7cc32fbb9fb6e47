"""The zoo's models as a table: what each takes, and which of the shared images are of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class ZooModel:
    """One real model.

    Attributes:
        path: within the zoo.
        preprocess: from the zoo's README.
        images: within the shared data; `digits` for the bundled ones.
        images_are_its_own: whether the model was trained on images of this kind, so that its answers mean something.
    """

    path: str
    preprocess: str
    images: str
    images_are_its_own: bool = True
    weights: str | None = None

    @property
    def id(self) -> str:
        """Short name for test output."""
        return Path(self.path).stem if "/saved" not in self.path else "saved_model_tf1"

    def data(self, shared_data: Path) -> Path:
        """Where its images are."""
        return Path(self.images) if self.images == "digits" else shared_data / self.images


MODELS = [
    ZooModel("fashion_cnn/fashion_mnist_model.h5", "0..1", "fashion_mnist.npz"),
    ZooModel("mlperf_tiny/pretrainedResnet.h5", "0..255", "cifar10.npz"),
    ZooModel("mlperf_tiny/vww_96.h5", "0..1", "flowers"),
    ZooModel("imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", "-1..1", "flowers"),
    ZooModel("face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5", "-1..1", "flowers", images_are_its_own=False),
    ZooModel("face_xception/fer2013_big_XCEPTION.54-0.66.hdf5", "-1..1", "flowers", images_are_its_own=False),
    ZooModel("face_xception/tiny_XCEPTION_KDEF.hdf5", "-1..1", "flowers", images_are_its_own=False),
    ZooModel("mnist_tensorspace/mnist.h5", "0..1", "digits"),
    ZooModel("mnist_tensorspace/tf_keras_model.h5", "0..1", "digits"),
    ZooModel("mnist_tensorspace/saved_model_tf1", "0..1", "digits"),
    ZooModel("mnist_tensorspace/topology.json", "0..1", "digits", weights="mnist_tensorspace/weights.h5"),
    ZooModel("teachable_machine_water/keras_model.h5", "-1..1", "flowers"),
    ZooModel("flowers_grey30/flowers.h5", "0..1", "flowers"),
    ZooModel("sign_mnist/best_model.keras", "0..1", "fashion_mnist.npz", images_are_its_own=False),
]

# Much like another one: of its architecture, or the same network in another file.
TWINS = {
    "fer2013_big_XCEPTION.54-0.66",
    "mnist",
    "mobilenet_v1_0.25_224",
    "tf_keras_model",
    "tiny_XCEPTION_KDEF",
    "topology",
    "vww_96",
}
CASES = [pytest.param(model, id=model.id, marks=pytest.mark.slow if model.id in TWINS else ()) for model in MODELS]
