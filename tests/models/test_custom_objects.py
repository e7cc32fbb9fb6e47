"""`--custom-objects`: a Python file with the layers and functions that a model names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from written_models import small_classifier

from edgecls.errors import EdgeclsError, InputError, ModelFileError, UnsafeModelError, UnsupportedModelError
from edgecls.models import load_model, rebuild

# KERAS stands for keras or tf_keras. The layer keeps a weight of its own and names the custom function as its activation.
LAYERS = """
import KERAS as keras


def swift(value):
    return value * keras.activations.sigmoid(1.5 * value)


DECORATOR
class Scaled(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, value):
        return self.factor * self.gain * value

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
"""
MODEL = """
import KERAS as keras


class Mine(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution, self.pooling = keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()
        self.scores = keras.layers.Dense(3)

    def call(self, image):
        return self.scores(self.pooling(self.convolution(image)))
"""
REGISTERED = "@keras.saving.register_keras_serializable(package='mine')"


@pytest.fixture
def python_file(framework: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """Writes the layers for a generation of Keras, registered or not."""

    def write(decorator: str = "", generation: str = framework.__name__, name: str = "layers_of_mine.py") -> Path:
        path = tmp_path / name
        path.write_text(LAYERS.replace("KERAS", generation).replace("DECORATOR", decorator))
        return path

    return write


@pytest.fixture(autouse=True)
def nothing_stays_registered(keras: ModuleType, tf_keras: ModuleType):
    """Each test finds the registries of Keras as a new process would."""
    registries = [framework.saving.get_custom_objects() for framework in (keras, tf_keras)]
    before = [dict(registry) for registry in registries]
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)


def saved_model(framework: ModuleType, path: Path, python: Path) -> tuple[Path, Any]:
    """A classifier with the layer and the function of a Python file, whose weights are no longer those it began with."""
    names: dict = {"__name__": "somebodys.own.module"}
    exec(python.read_text(), names)
    layers = [names["Scaled"](factor=3.0, name="scaled"), framework.layers.Conv2D(4, 3, activation=names["swift"])]
    model = small_classifier(framework, *layers)
    model.get_layer("scaled").set_weights([np.array([0.5, 2.0, 1.0], np.float32)])
    model.save(str(path))
    for registered in [name for name in framework.saving.get_custom_objects() if name.startswith("mine>")]:
        del framework.saving.get_custom_objects()[registered]
    return path, model


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
@pytest.mark.parametrize(("before", "now"), [("", ""), (REGISTERED, REGISTERED), (REGISTERED, ""), ("", REGISTERED)])
def test_layers_and_functions_are_found(framework, python_file, tmp_path, name, before, now):
    """Registered under a package or not, when the model was saved and in the file now; the scores are the source model's."""
    path, model = saved_model(framework, tmp_path / name, python_file(before))
    loaded = load_model(path, custom_objects=python_file(now), allow_code=True)
    images = np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict(images), model(images).numpy(), rtol=1e-5, atol=1e-6)
    assert loaded.source.custom_objects == "layers_of_mine.py"


def test_what_the_file_imports_is_as_quiet_as_without_it(framework, python_file, tmp_path):
    path, _ = saved_model(framework, tmp_path / "m.h5", python_file())
    options = ["--custom-objects", str(python_file()), "--allow-code"]
    command = [sys.executable, "-m", "edgecls.cli", "inspect", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    assert done.stderr == ""


def test_an_architecture_with_weights(framework, python_file, tmp_path):
    _, model = saved_model(framework, tmp_path / "m.keras", python_file())
    (tmp_path / "m.json").write_text(model.to_json())
    weights = tmp_path / "m.weights.h5"
    model.save_weights(str(weights))
    loaded = load_model(tmp_path / "m.json", weights=weights, custom_objects=python_file(), allow_code=True)
    images = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict(images), model(images).numpy(), rtol=1e-5, atol=1e-6)


def test_a_keras_2_folder_is_a_keras_model_then(tf_keras, tmp_path):
    """Without the file its graph is read, which cannot be trained on."""
    python = tmp_path / "mine.py"
    python.write_text(LAYERS.replace("KERAS", "tf_keras").replace("DECORATOR", REGISTERED))
    path, model = saved_model(tf_keras, tmp_path / "folder", python)
    assert load_model(path).training_refusal
    loaded = load_model(path, custom_objects=python, allow_code=True)
    assert not loaded.training_refusal
    images = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict(images), model(images).numpy(), rtol=1e-5, atol=1e-6)


def test_it_can_be_rebuilt_for_training(framework, python_file, tmp_path):
    """The layer is written out as the functions it calls, so that a variant needs no code."""
    path, _ = saved_model(framework, tmp_path / "m.keras", python_file())
    rebuilt = rebuild(load_model(path, custom_objects=python_file(), allow_code=True))
    assert any("scaled (Scaled) is written out" in note for note in rebuilt.notes)
    rebuilt.model.save(str(tmp_path / "variant.keras"))
    assert load_model(tmp_path / "variant.keras").outputs == 3


def test_the_error_of_an_unknown_layer_names_the_option(framework, python_file, tmp_path):
    for name in ("m.h5", "m.keras"):
        path, _ = saved_model(framework, tmp_path / name, python_file())
        with pytest.raises(UnsupportedModelError, match=r"Scaled.*--custom-objects FILE.py --allow-code"):
            load_model(path)


def test_nothing_runs_without_allow_code(framework, python_file, tmp_path):
    path, _ = saved_model(framework, tmp_path / "m.keras", python_file())
    python, mark = python_file(), tmp_path / "it ran"
    python.write_text(f"open({str(mark)!r}, 'w')\n" + python.read_text())
    with pytest.raises(UnsafeModelError, match="repeat with --allow-code"):
        load_model(path, custom_objects=python)
    assert not mark.exists()
    load_model(path, custom_objects=python, allow_code=True)
    assert mark.exists()


def test_what_lies_beside_the_file_can_be_imported(framework, python_file, tmp_path, capsys):
    path, _ = saved_model(framework, tmp_path / "m.keras", python_file())
    (tmp_path / f"helpers_of_{framework.__name__}.py").write_text(python_file().read_text())
    python = tmp_path / "imports.py"
    python.write_text(f"from helpers_of_{framework.__name__} import Scaled, swift\nprint('hello')\n")
    assert load_model(path, custom_objects=python, allow_code=True).outputs == 3
    assert capsys.readouterr().out == ""  # --json has stdout alone


WRONG_FILES = [
    ("def broken(:\n", "line 1: SyntaxError"),
    ("import nothing_of_that_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    ("from KERAS import nothing_of_that_name\n", "line 1: ImportError"),
    ("\n\nx = undefined\n", "line 3: NameError"),
    ("import sys\nsys.exit(3)\n", "line 2: SystemExit"),
    ("raise Exception('first\\nsecond')\n", "line 1: Exception: first"),
    ("", "without any"),
    ("\0\0", "SyntaxError"),
]


@pytest.mark.parametrize(("content", "expected"), WRONG_FILES)
def test_errors_in_the_file_are_one_line(framework, saved, tmp_path, content, expected):
    python = tmp_path / "wrong.py"
    python.write_text(content.replace("KERAS", framework.__name__))
    message = refusal(InputError, saved(small_classifier(framework), "m.keras"), python)
    assert expected in message
    assert str(python) in message


def test_no_file(keras, saved, tmp_path):
    path = saved(small_classifier(keras), "m.keras")
    assert "No such file" in refusal(InputError, path, tmp_path / "nowhere.py")
    assert "directory" in refusal(InputError, path, tmp_path)


def test_layers_of_the_other_generation(framework, python_file, tmp_path):
    path, _ = saved_model(framework, tmp_path / "m.keras", python_file())
    other = {"keras": "tf_keras", "tf_keras": "keras"}[framework.__name__]
    message = refusal(InputError, path, python_file(generation=other, name="other.py"))
    assert "whose Scaled is of Keras" in message
    assert f"import {framework.__name__} in it" in message


def test_a_layer_that_is_in_neither(framework, python_file, tmp_path):
    path, _ = saved_model(framework, tmp_path / "m.h5", python_file())
    python = tmp_path / "others.py"
    python.write_text("def another(value):\n    return value\n")
    message = refusal(UnsupportedModelError, path, python)
    assert "not in" in message
    assert "others.py" in message


def test_a_class_that_does_not_take_its_settings(framework, python_file, tmp_path):
    path, _ = saved_model(framework, tmp_path / "m.keras", python_file())
    python = tmp_path / "changed.py"
    python.write_text(python_file().read_text().replace("factor=1.0, **kwargs", "**kwargs").replace("= factor", "= 1.0"))
    assert "mend the classes there" in refusal(ModelFileError, path, python)


def test_a_model_of_a_class_of_its_own(framework, tmp_path):
    """Its layers are connected in Python code, so that it can be converted and not compressed."""
    python = tmp_path / "mine.py"
    python.write_text(MODEL.replace("KERAS", framework.__name__))
    names: dict = {"__name__": "somebodys.own.module"}
    exec(python.read_text(), names)
    model, images = names["Mine"](), np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    expected = model(images).numpy()
    model.save(str(tmp_path / "m.keras"))
    loaded = load_model(tmp_path / "m.keras", custom_objects=python, allow_code=True)
    np.testing.assert_allclose(loaded.predict(images), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(UnsupportedModelError, match="connected in Python code"):
        rebuild(loaded)


def test_a_graph_needs_no_code(keras, tmp_path):
    small_classifier(keras).export(str(tmp_path / "folder"), verbose=False)
    python = tmp_path / "mine.py"
    python.write_text("def swift(value):\n    return value\n")
    assert "leave --custom-objects out" in refusal(InputError, tmp_path / "folder", python)


def refusal(error: type[EdgeclsError], path: Path, python: Path) -> str:
    with pytest.raises(error) as caught:
        load_model(path, custom_objects=python, allow_code=True)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in message
    return message
