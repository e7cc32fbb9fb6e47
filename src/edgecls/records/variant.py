"""Variant: a model and the recipe that made it. One folder each: the model, and `variant.json` that tells all about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgecls.records.amounts import Milliseconds
from edgecls.records.artifact import LabelsSource, OutputKind, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.records.instant import Instant
from edgecls.records.recipe import ChannelPruning, Clustering, Pruning, QuantizationAwareTraining, Recipe, Training
from edgecls.records.record import FileRecord, Record
from edgecls.system.store import PlainName, settle

VARIANT_NAME = "variant.json"
VARIANTS_NAME = "variants.json"
MODEL_NAME = "model.keras"
_REMEDY = "run `edgecls compress` to make it anew"


Measure = Literal["top-1", "mAP"]  # by which held-out images are judged


class Epoch(Record):
    """How a stage stood after one pass over the training images.

    Attributes:
        loss: mean over the steps of this epoch.
        held_out_loss, held_out_accuracy: on the images that are not trained on, in inference mode; accuracy 0..1.
        measure: what that accuracy is.
        sparsity: share of exact zeros in the kernels that can be pruned, 0..1.
        step_ms: median time of a training step.
    """

    stage: str
    epoch: int
    loss: float
    held_out_loss: float
    held_out_accuracy: float
    measure: Measure = "top-1"
    sparsity: float
    step_ms: Milliseconds


class Kernel(Record):
    """What a kernel holds at the end.

    Attributes:
        sparsity: share of exact zeros, 0..1.
        distinct_values: number of different weights.
        note: why a technique that was asked for left it alone, empty where it did not.
    """

    elements: int
    sparsity: float
    distinct_values: int
    note: str = ""


class Change(Record):
    """A number before and after."""

    before: int
    after: int


class Variant(FileRecord):
    """One model that compression made.

    Attributes:
        name: `control`, `pruned50`, `pruned-channels50-qat` …
        channels, pruning, clustering, qat: what made it; None for what did not.
        source: the model everything came from.
        sha256: of the model file beside this record.
        fingerprint: hash of recipe, source, data and everything else that the result depends on.
        ranges: of a quantization-aware variant: tensor -> learned (min, max) of its activations.
        float_layers: of a quantization-aware variant: layers that were trained in float, and stay so in its int8 files.
        kernels: layer -> what its kernel holds.
        widths: where channels were removed: layer -> how many it makes, in the base and here.
        macs: multiply-accumulates for an image, in the base and here; None where no channels were removed.
        normalised: whether BatchNorm was folded before training.
        seconds: time spent training, all stages of its own.
    """

    kind = f"a {VARIANT_NAME}"
    place = f"a folder with {VARIANT_NAME}"
    remedy = _REMEDY

    schema_version: int = FileRecord.versions[-1]
    name: str
    channels: ChannelPruning | None = None
    pruning: Pruning | None = None
    clustering: Clustering | None = None
    qat: QuantizationAwareTraining | None = None
    training: Training
    source: Source
    image_spec: ImageSpec
    labels: list[str]
    labels_source: LabelsSource
    output_kind: OutputKind
    outputs: int
    sha256: str
    fingerprint: str
    edgecls_version: str
    ranges: dict[str, tuple[float, float]] | None = None
    float_layers: list[str] = Field(default_factory=list)
    kernels: dict[str, Kernel] = Field(default_factory=dict)
    widths: dict[str, Change] = Field(default_factory=dict)
    macs: Change | None = None
    epochs: list[Epoch] = Field(default_factory=list)
    normalised: bool = False
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Variant:
        """The record of a variant's folder.

        Raises:
            ArtifactError: none there, damaged, or of another schema version.
            OutputError: a change that a killed process had begun cannot be finished.
        """
        settle(folder.parent)
        return cls.read_file(folder / VARIANT_NAME)

    @property
    def recipe(self) -> dict[str, Any]:
        """What made it, as plain values."""
        return self.model_dump(mode="json", include={"channels", "pruning", "clustering", "qat", "training"}, exclude_none=True)

    @property
    def sparsity(self) -> float:
        """Share of exact zeros over all kernels, 0..1."""
        elements = sum(kernel.elements for kernel in self.kernels.values())
        return sum(kernel.sparsity * kernel.elements for kernel in self.kernels.values()) / elements if elements else 0.0

    @property
    def distinct_values(self) -> int:
        """Most different weights in any kernel."""
        return max((kernel.distinct_values for kernel in self.kernels.values()), default=0)


class VariantSet(FileRecord):
    """`variants.json`: the variants of one model, each in the folder of its name beside this file.

    Attributes:
        model, weights, custom_objects: path of the base, of its weights where it is an architecture alone, and of the Python file with
            its custom classes.
        data: path of the training images.
        measure: what every accuracy on the held-out images is.
        base_accuracy, base_loss: of the base on the held-out images.
    """

    kind = f"a {VARIANTS_NAME}"
    place = f"a folder with {VARIANTS_NAME}"
    remedy = _REMEDY

    schema_version: int = FileRecord.versions[-1]
    created: Instant
    edgecls_version: str
    source: Source
    model: str
    weights: str | None = None
    custom_objects: str | None = None
    image_spec: ImageSpec
    labels: list[str]
    labels_source: LabelsSource
    data: str
    images: int
    held_out_images: int
    recipe: Recipe
    measure: Measure = "top-1"
    base_accuracy: float
    base_loss: float
    notes: list[str] = Field(default_factory=list)
    variants: list[PlainName]

    @classmethod
    def read(cls, folder: Path) -> VariantSet:
        """The record of a folder of variants.

        Raises:
            ArtifactError: none there, damaged, or of another schema version.
            OutputError: a change that a killed process had begun cannot be finished.
        """
        settle(folder)
        return cls.read_file(folder / VARIANTS_NAME)


def is_variant(path: Path) -> bool:
    """Whether a path is the folder of one variant."""
    settle(path.parent)
    return (path / VARIANT_NAME).is_file()


def is_variant_set(path: Path) -> bool:
    """Whether a path is a folder of variants."""
    settle(path)
    return (path / VARIANTS_NAME).is_file()
