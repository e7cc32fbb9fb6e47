"""The support table: which jobs are planned, and which are refused before any work."""

from __future__ import annotations

import pytest

from edgecls.converters import Job, parse_targets, plan_jobs
from edgecls.errors import SchemeError


def test_all_schemes_without_data_leave_int8_out():
    jobs = plan_jobs(["tflite", "onnx"], None, calibrated=False)
    assert jobs == [
        Job("tflite", "float32"),
        Job("tflite", "float16"),
        Job("tflite", "dynamic"),
        Job("onnx", "float32"),
        Job("onnx", "float16"),
    ]


def test_int8_joins_with_calibration_images():
    jobs = plan_jobs(["tflite", "onnx", "coreml"], None, calibrated=True)
    assert [job for job in jobs if job.scheme == "int8"] == [
        Job("tflite", "int8"),
        Job("onnx", "int8"),
        Job("coreml", "int8"),
    ]


def test_a_plain_scheme_is_for_every_target_that_has_it():
    assert plan_jobs(["tflite", "onnx", "coreml"], "weight8, float16", calibrated=False) == [
        Job("tflite", "float16"),
        Job("onnx", "float16"),
        Job("coreml", "float16"),
        Job("coreml", "weight8"),
    ]


def test_core_ml_palettes_and_sparse_kernels_are_made_when_asked_for():
    made = [job.scheme for job in plan_jobs(["coreml"], None, calibrated=True)]
    assert "weight8" in made
    assert not {"palette4", "weight4", "sparse"} & set(made)
    asked = plan_jobs(["tflite", "coreml"], "sparse-palette4,palette6,weight4", calibrated=False)
    assert asked == [Job("coreml", "weight4"), Job("coreml", "palette6"), Job("coreml", "sparse-palette4")]


def test_a_scheme_can_be_asked_of_one_target():
    assert plan_jobs(["tflite", "onnx"], "tflite:float16,onnx:float32", calibrated=False) == [
        Job("tflite", "float16"),
        Job("onnx", "float32"),
    ]


def test_int8_without_images_is_refused_with_the_remedy():
    with pytest.raises(SchemeError, match=r"calibration images.*--calibration PATH"):
        plan_jobs(["tflite"], "float32,int8", calibrated=False)


@pytest.mark.parametrize("schemes", ["int4", "tflite:weight8", "coreml:dynamic", "onnx:float32", ",", "float32,,bogus"])
def test_what_no_target_has_is_refused_with_the_choices(schemes: str):
    with pytest.raises(SchemeError, match="choose among"):
        plan_jobs(["tflite", "coreml"], schemes, calibrated=True)


def test_targets_are_read_once_each_in_the_order_asked():
    assert parse_targets("onnx, tflite,onnx") == ["onnx", "tflite"]
    for text in ("", "tensorrt", "tflite,foo"):
        with pytest.raises(SchemeError, match="targets among"):
            parse_targets(text)
