"""What is read back of a file before it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.data.pixel_file import PixelWriter
from edgecls.data.synthetic import synthetic_pixels
from edgecls.evaluation.examination import Questions, examine
from edgecls.records.artifact import Requested
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from gate_folder import FLOAT, make_folder

SPEC = ImageSpec(height=4, width=4, channels=3)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ([], "the model has none that can be stored so"),
        (["wide"], "the model has none beside those kept float that can be stored so"),
    ],
)
def test_a_file_without_the_weights_asked_for_says_why(kept: list[str], reason: str, tmp_path: Path) -> None:
    make_folder(tmp_path, {FLOAT: 8})
    record = ArtifactMetadata(
        name="base", image_spec=SPEC, labels=[], outputs=10, output_kind="logits", source_sha256="", edgecls_version=""
    )
    writer = PixelWriter((4, 4, 3), "uint8", 1)
    writer.append(synthetic_pixels(SPEC, 1)[0])
    questions = Questions(writer.finish(), "synthetic", [])
    requested = Requested(target="onnx", scheme="int8", keep_float=kept)
    parity = examine(tmp_path / f"{FLOAT}.onnx", requested, record, questions).parity
    writer.close()
    assert (parity.verdict, parity.reason) == ("failed", f"int8 was asked, but the file holds no int8 weights: {reason}")
