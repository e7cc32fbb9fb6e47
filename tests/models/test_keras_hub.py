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
from edgecls.models.keras_hub import image_spec
from edgecls.models.safety import scan_config
from edgecls.records.image_spec import ImageSpec

# As keras_hub 0.32 saves them: the converter is in the config of the classifier's preprocessor, and no part of its graph.
SOURCE = """
import keras


@keras.saving.register_keras_serializable("keras_hub")
class TinyImageConverter(keras.layers.Layer):
    def __init__(self, **named):
        self.settings = {name: named.pop(name) for name in list(named) if name in NAMES}
        super().__init__(**named)

    def call(self, pixels):
        return pixels * self.settings["scale"] + self.settings["offset"]

    def get_config(self):
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable("keras_hub")
class TinyImageClassifierPreprocessor(keras.layers.Layer):
    def __init__(self, image_converter=None, **named):
        super().__init__(**named)
        self.image_converter = image_converter

    def get_config(self):
        return {**super().get_config(), "image_converter": keras.saving.serialize_keras_object(self.image_converter)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "image_converter": keras.saving.deserialize_keras_object(config["image_converter"])})


@keras.saving.register_keras_serializable("keras_hub")
class TinyImageClassifier(keras.Model):
    def __init__(self, side=None, preprocessor=None, **named):
        image = keras.Input((side, side, 3))
        value = keras.layers.Conv2D(4, 3, activation="relu", name="block1_conv1")(image)
        super().__init__(inputs=image, outputs=keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(value)), **named)
        self.side, self.preprocessor = side, preprocessor

    def get_config(self):
        return {"side": self.side, "preprocessor": keras.saving.serialize_keras_object(self.preprocessor), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "preprocessor": keras.saving.deserialize_keras_object(config["preprocessor"])})


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


def preprocessor(library: Any) -> Any:
    return library.TinyImageClassifierPreprocessor(library.TinyImageConverter(**SETTINGS))


@pytest.mark.parametrize(
    "name", ["tiny.keras", "vgg16.keras"]
)  # keras.applications' VGG16 takes BGR; no converter swaps channels
def test_one_that_is_installed_is_loaded_with_the_size_and_preprocessing_of_its_converter(
    library, tmp_path: Path, name: str
) -> None:
    model = library.TinyImageClassifier(preprocessor=preprocessor(library))
    model.save(tmp_path / name)
    loaded = load_model(tmp_path / name)
    spec = loaded.image_spec
    assert (spec.height, spec.width, spec.preprocess, spec.fit, spec.filter) == (12, 16, "-1..1", "crop", "bilinear")
    assert {spec.provenance, spec.fit_provenance, spec.filter_provenance} == {"declared"}
    assert "image converter" in " ".join(loaded.notes)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3))
    expected = model(pixels * SETTINGS["scale"] + SETTINGS["offset"]).numpy()
    assert loaded.predict(spec.apply(pixels)) == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))


def test_a_converter_that_predict_does_not_apply_before_the_model_is_no_preprocessing(library, tmp_path: Path) -> None:
    """One within the graph, and that of a classifier within another model."""
    import keras

    image = keras.Input((12, 16, 3))
    inside = keras.layers.GlobalAveragePooling2D()(library.TinyImageConverter(**SETTINGS)(image))
    models = [
        keras.Model(image, keras.layers.Dense(3)(inside)),
        keras.Sequential([image, library.TinyImageClassifier(preprocessor=preprocessor(library)), keras.layers.Softmax()]),
    ]
    for model in models:
        model.save(tmp_path / "model.keras")
        loaded = load_model(tmp_path / "model.keras")
        assert loaded.image_spec.provenance != "declared"
        assert "image converter" not in " ".join(loaded.notes)


def test_a_size_that_is_asked_for_goes_before(library, tmp_path: Path) -> None:
    library.TinyImageClassifier(preprocessor=preprocessor(library)).save(tmp_path / "tiny.keras")
    assert load_model(tmp_path / "tiny.keras", input_size="20x20").image_spec.height == 20


def test_one_that_is_not_installed_names_what_to_install(library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.TinyImageClassifier(side=8).save(tmp_path / "tiny.keras")
    monkeypatch.setattr("edgecls.models.safety.is_installed", lambda: False)
    with pytest.raises(UnsupportedModelError, match=r"TinyImageClassifier.*; pip install keras-hub$"):
        load_model(tmp_path / "tiny.keras")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"scale": [1 / 58, 1 / 57, 1 / 56], "offset": [-2, -1, 0]}, {"mean": (116, 57, 0), "std": (58, 57, 56)}),
        ({"scale": None, "offset": None, "crop_to_aspect_ratio": False}, {"mean": (0,), "std": (1,), "fit": "squeeze"}),
        ({"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True, "antialias": True}, {"fit": "pad", "filter": "bilinear-antialiased"}),
        ({"interpolation": "bicubic"}, {"filter_provenance": "assumed", "fit_provenance": "declared"}),
        ({"interpolation": "nearest", "antialias": True}, {"filter": "nearest"}),
        ({"image_size": [None, None]}, {"fit_provenance": "assumed"}),
        ({"image_size": None}, {"fit_provenance": "assumed", "filter_provenance": "assumed", "provenance": "declared"}),
    ],
)  # fmt: skip
def test_what_a_converter_says(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    caffe = ImageSpec(height=12, width=16, channels=3, color_order="BGR", fit="crop", crop_share=0.875)
    found, said = image_spec(caffe, {**SETTINGS, **changed})
    assert found.color_order == "RGB"
    assert ("its interpolation" in said) == (found.fit_provenance == "declared" and found.filter_provenance == "assumed")
    for name, value in expected.items():
        assert getattr(found, name) == (pytest.approx(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize(
    "changed",
    [
        {"scale": 0},
        {"scale": "0.1"},
        {"offset": [1, 2]},
        {"scale": float("inf")},
        {"scale": 10**400},
        {"scale": True},
        {"mean": [1, 1, 1]},
    ],
)
def test_what_no_preprocessing_can_say_is_left_alone(changed: dict[str, Any]) -> None:
    spec = ImageSpec(height=12, width=16, channels=3)
    found, said = image_spec(spec, {**SETTINGS, **changed})
    assert found == spec
    assert "not taken" in said


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("a module beside", {"class_name": "Backbone", "module": "keras_hub.src.utils.preset_utils"}),
        ("another library", {"class_name": "Backbone", "module": "keras_hubs.src.models.x"}),
        ("a tokenizer", {"class_name": "BartTokenizer", "module": "keras_hub.src.models.bart.bart_tokenizer"}),
        ("imported there", {"class_name": "PARSeqTokenizer", "module": "keras_hub.src.models.parseq.parseq_preprocessor"}),
        ("a function", {"class_name": "load_task", "module": "keras_hub.src.models.task"}),
        ("by another name", {"class_name": "Conv2D", "module": "keras.layers", "registered_name": "keras_hub>PARSeqTokenizer"}),
        ("as another", {"class_name": "ABackbone", "module": "keras_hub.src.models.a", "registered_name": "keras_hub>Other"}),
        ("of no module", {"class_name": "PARSeqTokenizer", "registered_name": "keras_hub>PARSeqTokenizer"}),
        ("registered", {"class_name": "function", "module": "builtins", "config": "keras_hub>upload_preset"}),
        ("of operations", {"class_name": "function", "module": "keras.ops", "config": "keras_hub>upload_preset"}),
    ],
)
def test_only_layers_and_parts_of_classifiers_are_trusted(name: str, item: dict[str, Any]) -> None:
    assert scan_config({"config": {}, **item}), name


def test_layers_and_parts_of_classifiers_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecls.models.safety.is_installed", lambda: True)
    for module, name in (("models.vgg.vgg_backbone", "VGGBackbone"), ("layers.modeling.anchor_generator", "AnchorGenerator")):
        item = {"class_name": name, "module": f"keras_hub.src.{module}", "registered_name": f"keras_hub>{name}", "config": {}}
        assert not scan_config(item)


def test_the_library_itself(tmp_path: Path) -> None:
    keras_hub = pytest.importorskip("keras_hub", reason="pip install keras-hub")
    layers = {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64, 64],
        "block_type": "basic_block",
    }
    blocks = {"stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2]}
    backbone = keras_hub.models.ResNetBackbone(**layers, **blocks, image_shape=(None, None, 3))
    converter = keras_hub.layers.ResNetImageConverter(image_size=(32, 48), scale=[0.01, 0.02, 0.03], offset=[-1, 0, 1])
    before = keras_hub.models.ResNetImageClassifierPreprocessor(converter)
    model = keras_hub.models.ResNetImageClassifier(backbone=backbone, num_classes=4, preprocessor=before)
    model.save(tmp_path / "resnet50.keras")
    loaded = load_model(tmp_path / "resnet50.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    expected = model.predict(pixels, verbose=0)
    assert loaded.predict(loaded.image_spec.apply(pixels)) == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))
