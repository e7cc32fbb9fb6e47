"""Classifiers of KerasHub, whose classes are an installed library's: a small one of the same build stands in for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model
from edgecls.models.keras_hub import converter_of, image_spec, library_of
from edgecls.records.image_spec import ImageSpec

# As keras_hub 0.32 saves them: the converter is an object of the classifier's config, and no part of its graph.
SOURCE = """
import keras


@keras.saving.register_keras_serializable("keras_hub")
class TinyImageConverter(keras.layers.Layer):
    def __init__(self, settings=None, **named):
        given = {name: named.pop(name) for name in list(named) if name in NAMES}
        super().__init__(**named)
        self.settings = settings or given

    def get_config(self):
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable("keras_hub")
class TinyImageClassifier(keras.Model):
    def __init__(self, side=None, converter=None, **named):
        image = keras.Input((side, side, 3))
        value = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(image))
        super().__init__(inputs=image, outputs=keras.layers.Dense(3)(value), **named)
        self.side, self.converter = side, converter

    def get_config(self):
        return {"side": self.side, "converter": keras.saving.serialize_keras_object(self.converter), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "converter": keras.saving.deserialize_keras_object(config["converter"])})


NAMES = ("image_size", "scale", "offset", "interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
"""
SETTINGS = {
    "image_size": [12, 16],
    "scale": 1 / 127.5,
    "offset": -1,
    "interpolation": "bilinear",
    "antialias": False,
    "crop_to_aspect_ratio": True,
    "pad_to_aspect_ratio": False,
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of a library called keras_hub."""
    place = tmp_path / "site" / "keras_hub" / "src" / "models"
    place.mkdir(parents=True)
    for folder in (place, place.parent, place.parent.parent):
        (folder / "__init__.py").touch()
    (place / "tiny.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(place.parents[2])
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "keras_hub"}
    import keras

    registry = dict(keras.saving.get_custom_objects())
    yield importlib.import_module("keras_hub.src.models.tiny")
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(registry)
    for name in [name for name in sys.modules if name.partition(".")[0] == "keras_hub"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_one_that_is_installed_is_loaded_with_the_size_and_preprocessing_of_its_converter(library, tmp_path: Path) -> None:
    model = library.TinyImageClassifier(converter=library.TinyImageConverter(settings=SETTINGS))
    model.save(tmp_path / "tiny.keras")
    loaded = load_model(tmp_path / "tiny.keras")
    spec = loaded.image_spec
    assert (spec.height, spec.width, spec.preprocess, spec.fit, spec.filter) == (12, 16, "-1..1", "crop", "bilinear")
    assert {spec.provenance, spec.fit_provenance, spec.filter_provenance} == {"declared"}
    assert "image converter" in " ".join(loaded.notes)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3))
    expected = model(pixels * SETTINGS["scale"] + SETTINGS["offset"]).numpy()
    assert loaded.predict(spec.apply(pixels)) == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))


def test_a_size_that_is_asked_for_goes_before(library, tmp_path: Path) -> None:
    library.TinyImageClassifier(converter=library.TinyImageConverter(settings=SETTINGS)).save(tmp_path / "tiny.keras")
    assert load_model(tmp_path / "tiny.keras", input_size="20x20").image_spec.height == 20


def test_one_that_is_not_installed_names_what_to_install(library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.TinyImageClassifier(side=8).save(tmp_path / "tiny.keras")
    monkeypatch.setattr("edgecls.models.safety.is_installed", lambda module: False)
    with pytest.raises(UnsupportedModelError, match=r"TinyImageClassifier.*; pip install keras-hub$"):
        load_model(tmp_path / "tiny.keras")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"scale": [1 / 58, 1 / 57, 1 / 56], "offset": [-2, -1, 0]}, {"mean": (116, 57, 0), "std": (58, 57, 56)}),
        ({"scale": None, "offset": None, "crop_to_aspect_ratio": False}, {"mean": (0,), "std": (1,), "fit": "squeeze"}),
        ({"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True, "antialias": True}, {"fit": "pad", "filter": "bilinear-antialiased"}),
        ({"interpolation": "bicubic"}, {"filter_provenance": "assumed", "fit_provenance": "declared"}),
        ({"image_size": None}, {"fit_provenance": "assumed", "filter_provenance": "assumed", "provenance": "declared"}),
    ],
)  # fmt: skip
def test_what_a_converter_says(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    found = image_spec(ImageSpec(height=12, width=16, channels=3), {**SETTINGS, **changed})
    assert found is not None
    for name, value in expected.items():
        assert getattr(found, name) == (pytest.approx(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize("changed", [{"scale": 0}, {"scale": "0.1"}, {"offset": [1, 2]}])
def test_what_no_preprocessing_can_say_is_left_alone(changed: dict[str, Any]) -> None:
    assert image_spec(ImageSpec(height=12, width=16, channels=3), {**SETTINGS, **changed}) is None


def test_modules_of_layers_and_models_alone_are_trusted() -> None:
    assert library_of("keras_hub.src.models.resnet.resnet_backbone") == "keras-hub"
    assert library_of("keras_cv.src.layers.fusedmbconv") == "keras-cv"
    for module in (
        "keras_hub.src.utils.preset_utils",
        "keras_hub",
        "keras_hubs.src.models.x",
        "keras_hub.src.models.gpt2.gpt2_tokenizer",
    ):
        assert library_of(module) is None
    hidden = {"class_name": "ImageConverter", "module": "elsewhere", "config": {"scale": 1.0}}
    assert converter_of({"config": {"layers": [hidden]}}) is None
