"""ArtifactMetadata: what every artifact carries inside itself, under the key `edgecls` of its format.

TFLite: the Metadata buffer named `edgecls`; ONNX: `metadata_props["edgecls"]`; Core ML: `user_defined_metadata["edgecls"]`. Each holds
this record as JSON, beside the labels and normalization in the form the format's own ecosystem reads.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edgecls.records.artifact import Head, OutputKind
from edgecls.records.image_spec import ImageSpec

METADATA_KEY = "edgecls"
_SCORES: dict[OutputKind, str] = {
    "softmax": "probabilities",
    "sigmoid": "independent probabilities",
    "logits": "logits, not probabilities: no softmax was taken",
}


class ArtifactMetadata(BaseModel):
    """The record inside an artifact.

    Attributes:
        name: the variant.
        source_name: file or folder of the model it was made from; empty in files of an edgecls that did not write it.
        labels: one per class. A classifier with one sigmoid output has two: [0] where the score is low, [1] where it is high.
        outputs: length of the score vector.
        heads: where several outputs were converted together, all of them in their order; all else is about the first.
    """

    model_config = ConfigDict(extra="ignore")  # a newer edgecls may have written more

    name: str
    image_spec: ImageSpec
    labels: list[str]
    outputs: int
    output_kind: OutputKind
    source_sha256: str
    edgecls_version: str
    source_name: str = ""
    heads: list[Head] = []

    @property
    def scores(self) -> str:
        """What people are told the scores are."""
        if self.outputs == 1:
            return {"logits": "a logit, not a probability: no sigmoid was taken"}.get(self.output_kind, "a probability")
        return _SCORES[self.output_kind]

    @property
    def title(self) -> str:
        """What people are shown as the model's name."""
        if not self.source_name:
            return self.name
        return self.source_name if self.name == "base" else f"{self.source_name} ({self.name})"
