"""Labels of an opened model: given, or assumed of networks that are known to be trained on ImageNet, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.data.imagenet import imagenet_labels
from edgecls.workflow.opening import ModelOptions, open_model


def saved(model: object, folder: Path) -> Path:
    path = folder / "network.keras"
    model.save(path)  # type: ignore[attr-defined]
    return path


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV1 of keras.applications, as narrow and small as it comes; the weights do not matter."""
    import keras

    network = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None)  # pyright: ignore[reportArgumentType] - None is what Keras documents
    return saved(network, tmp_path_factory.mktemp("application"))


def test_a_network_of_keras_applications_answers_with_imagenets_names(application: Path) -> None:
    opened = open_model(ModelOptions(application))
    assert (opened.labels, opened.labels_source) == (imagenet_labels(), "assumed")
    (note,) = [note for note in opened.model.notes if "ImageNet" in note]
    assert note.startswith("Assumed ImageNet's names for the 1,000 classes, as MobileNet (its layer conv_dw_1)")


def test_labels_that_are_given_win(application: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"thing {index}" for index in range(1000)))
    opened = open_model(ModelOptions(application, labels=tmp_path / "labels.txt"))
    assert (opened.labels[7], opened.labels_source) == ("thing 7", "file")
    assert not any("ImageNet" in note for note in opened.model.notes)


@pytest.mark.parametrize("outputs", [5, 1000])
def test_other_networks_are_not_taken_for_one(outputs: int, tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 3))
    scores = keras.layers.Dense(outputs, activation="softmax")(keras.layers.Flatten()(image))
    opened = open_model(ModelOptions(saved(keras.Model(image, scores), tmp_path)))
    assert (opened.labels[1], opened.labels_source) == ("class_1", "default")
