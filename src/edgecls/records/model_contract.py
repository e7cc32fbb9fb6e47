"""ModelContract: what a model file that `edgecls train` made says itself of its images and classes, so that nobody has to."""

from __future__ import annotations

from pathlib import Path

from edgecls.errors import ModelFileError
from edgecls.records.image_spec import ImageSpec
from edgecls.records.record import FileRecord

CONTRACT_NAME = "edgecls_contract.json"  # in the `.keras` archive, where Keras leaves it alone, and beside it


class ModelContract(FileRecord):
    """The image contract and the labels of a trained model.

    Attributes:
        image_spec: what a picture must become to enter it.
        labels: name of each class, in the order of the scores; two for a single sigmoid.
        edgecls_version: what wrote it.
    """

    kind = "a model's contract"
    remedy = "train the model anew, or remove the contract from the file"
    error = ModelFileError

    schema_version: int = FileRecord.versions[-1]
    image_spec: ImageSpec
    labels: list[str]
    edgecls_version: str

    def write(self, path: Path) -> None:
        """Write it beside a model."""
        path.write_text(self.to_json(), encoding="utf-8")
