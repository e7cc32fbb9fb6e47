"""MediaPipe Tasks' ImageClassifier opens our TFLite files with nothing else, and answers as our own runner does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mediapipe_env
from edgecls.converters.tflite.metadata import mediapipe_refusal, write_tflite
from edgecls.converters.tflite.uint8_border import take_uint8
from edgecls.formats import read_record
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata

pytestmark = pytest.mark.slow  # installs MediaPipe once; each file is opened in a process of its own

SPEC = ImageSpec(height=32, width=32, channels=3)


@pytest.fixture(scope="module", autouse=True)
def mediapipe() -> None:
    try:
        mediapipe_env.interpreter()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"MediaPipe cannot be installed here: {error}")


def _photos(shared_data: Path, folder: Path, size: int, count: int) -> list[Path]:
    """Photos of flowers as PNG in the model's size, so that both sides get the same pixels and no resizing differs."""
    found = sorted((shared_data / "flowers").glob("*/*.jpg"))
    paths = []
    for source in found[:: len(found) // count][:count]:
        paths.append(folder / f"{source.stem}.png")
        Image.open(source).convert("RGB").resize((size, size), Image.Resampling.BILINEAR).save(paths[-1])
    return paths


def _record(spec: ImageSpec = SPEC) -> ArtifactMetadata:
    return ArtifactMetadata(
        name="resnet",
        image_spec=spec,
        labels=["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        outputs=10,
        output_kind="softmax",
        source_sha256="0" * 64,
        edgecls_version="0",
    )


def _agree(path: Path, images: list[Path], tolerance: float) -> int:
    """Assert that MediaPipe's scores are our runner's to within `tolerance` and the winners the same; how many were compared.

    Where our two best scores are closer than the tolerance there is no winner to compare.
    """
    from edgecls.runners import open_runner

    record = read_record(path)
    assert record is not None
    runner = open_runner(path)
    compared = 0
    for image, categories in zip(images, mediapipe_env.classify(path, images), strict=True):
        ours = runner.predict(np.asarray(Image.open(image))[None])[0]
        theirs = np.zeros_like(ours)
        for category in categories:
            theirs[category["index"]] = category["score"]
            assert category["label"] == record.labels[category["index"]]
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance)
        first, second = np.sort(ours)[::-1][:2]
        if first - second > 2 * tolerance:
            assert categories[0]["label"] == record.labels[int(np.argmax(ours))]
            compared += 1
    return compared


# Both sides run LiteRT on the same pixels, but builds of it with other kernels. Float: rounding alone, a sum of about 1,000 products
# is good to 1,000 x 2**-24 = 6e-5 of its size; float16 weights are unpacked to float32 first. Integer activations: a value on the
# border of two steps falls to either side, and 30 layers carry that on: 0.064 was the largest difference of a probability in 30
# photos through MobileNet. So only winners that are clearer than that are compared there.
TOLERANCES = {"float32": 6e-5, "float16": 6e-5, "dynamic": 0.1, "behind": 0.1, "int8": 0.1}


@pytest.mark.parametrize("scheme", TOLERANCES)
def test_every_scheme_opens_and_answers_the_same(
    foreign_tflite: dict[str, Path], shared_data: Path, tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / f"{scheme}.tflite"
    path.write_bytes(write_tflite(foreign_tflite[scheme].read_bytes(), _record()))
    assert mediapipe_refusal(SPEC) is None
    assert _agree(path, _photos(shared_data, tmp_path, 32, 12), TOLERANCES[scheme]) >= 3  # clear winners


def test_a_file_that_takes_uint8_is_given_the_pixels(foreign_tflite: dict[str, Path], shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "uint8.tflite"
    path.write_bytes(write_tflite(take_uint8(foreign_tflite["int8-io"].read_bytes(), SPEC), _record()))
    assert mediapipe_refusal(SPEC, "uint8") is None
    assert _agree(path, _photos(shared_data, tmp_path, 32, 12), TOLERANCES["int8"]) >= 3  # clear winners


@pytest.mark.parametrize(
    ("scheme", "spec", "theirs"),
    [
        ("int8-io", SPEC, "uint8/float32, got INT8"),
        ("float32", SPEC.with_preprocess("imagenet-caffe"), "Only RGB color space"),
        ("float32", SPEC.with_preprocess("imagenet-torch"), "Per-channel image normalization"),
        ("float32", ImageSpec(height=32, width=32, channels=3, layout="flat"), "Expected ImageProperties"),
    ],
)
def test_what_we_say_it_refuses_it_refuses(
    foreign_tflite: dict[str, Path], shared_data: Path, tmp_path: Path, scheme: str, spec: ImageSpec, theirs: str
) -> None:
    path = tmp_path / "refused.tflite"
    path.write_bytes(write_tflite(foreign_tflite[scheme].read_bytes(), _record(spec)))
    assert mediapipe_refusal(spec, "int8" if scheme == "int8-io" else "float32")
    with pytest.raises(mediapipe_env.MediaPipeError, match=theirs):
        mediapipe_env.classify(path, _photos(shared_data, tmp_path, 32, 1))


def test_int8_of_uint8_converted_by_edgecls_answers_as_our_runner(zoo: Path, shared_data: Path, tmp_path: Path) -> None:
    from edgecls.workflow import convert_model

    model, photos = zoo / "mlperf_tiny" / "pretrainedResnet.h5", _photos(shared_data, tmp_path, 32, 60)
    calibration = np.stack([np.asarray(Image.open(photo)) for photo in photos])
    made = convert_model(
        model, targets=["tflite"], schemes="int8", io="uint8", calibration=calibration, labels=_record().labels, preprocess="0..255"
    )  # fmt: skip
    path = made.of("tflite", "int8").write(tmp_path / "out")
    assert not [said for said in made.manifest.details if "MediaPipe" in said]
    assert _agree(path, photos[::5], TOLERANCES["int8"]) >= 3  # clear winners


def test_imagenet_mobilenet_converted_by_edgecls_answers_as_our_runner(zoo: Path, shared_data: Path, tmp_path: Path) -> None:
    from edgecls.workflow import ConvertOptions, convert

    folder = zoo / "imagenet_mobilenet_v1_025"
    classes = json.loads((folder / "imagenet_class_index.json").read_text())
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{classes[str(index)][1]}\n" for index in range(1000)))
    options = ConvertOptions(
        folder / "mobilenet_v1_0.25_224.h5",
        output=tmp_path / "out",
        targets=("tflite",),
        calibration=shared_data / "flowers",
        calibration_images=50,
        labels=labels,
        preprocess="-1..1",
    )
    manifest = convert(options)
    photos = _photos(shared_data, tmp_path, 224, 30)
    assert {artifact.scheme for artifact in manifest.artifacts} == {"float32", "float16", "dynamic", "int8"}
    for artifact in manifest.artifacts:
        assert artifact.status == "ok", artifact.reason
        path = tmp_path / "out" / artifact.path
        assert _agree(path, photos, TOLERANCES[artifact.scheme]) >= 5
        winners = [categories[0]["label"] for categories in mediapipe_env.classify(path, photos)]
        assert "daisy" in winners  # the one flower of the five kinds that ImageNet knows by name
