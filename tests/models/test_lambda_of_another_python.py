"""Code that another version of Python wrote cannot be read; the message says what can be done."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from written_models import edit_h5, small_classifier

from edgecls.errors import ModelFileError
from edgecls.models import load_model

# the first bytes of a code object of Python 3.7, whose fields are others than those of 3.8 and of 3.11
OLD_CODE = base64.b64encode(
    bytes.fromhex("e301000000000000000100000002000000430000007308000000") + b"|\x00d\x01\x13\x00S\x00"
).decode()


def with_old_code(value: Any) -> Any:
    """An architecture in which each piece of marshalled code is of another Python."""
    if isinstance(value, dict):
        if value.get("class_name") == "__lambda__":
            value["config"]["code"] = OLD_CODE
        for name, part in value.items():
            value[name] = [OLD_CODE, None, None] if name == "function" and isinstance(part, list) else with_old_code(part)
    elif isinstance(value, list):
        value[:] = [with_old_code(part) for part in value]
    return value


def test_the_remedy_is_a_saved_model(framework, saved, tmp_path):
    model = small_classifier(framework, framework.layers.Lambda(lambda value: value / 255, output_shape=(8, 8, 3)))
    path = saved(model, "m.h5")
    edit_h5(path, with_old_code)
    with pytest.raises(ModelFileError, match=r"another version of Python wrote.*make a SavedModel") as caught:
        load_model(path, allow_code=True)
    assert "model.export('folder')" in caught.value.remedy
    if framework.__name__ == "keras":
        model.export(str(tmp_path / "folder"), verbose=False)
    else:
        model.save(str(tmp_path / "folder"), save_format="tf")
    assert load_model(tmp_path / "folder", allow_code=True).outputs == 3
