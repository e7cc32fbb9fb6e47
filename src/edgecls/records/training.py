"""What `edgecls train` is asked, and what it tells of a training: `training.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from edgecls.records.amounts import Bytes
from edgecls.records.evaluation import Evaluation
from edgecls.records.image_spec import ImageSpec
from edgecls.records.instant import Instant
from edgecls.records.recipe import Value
from edgecls.records.record import FileRecord, Record

TRAINING_NAME = "training.json"
SCRATCH = ("cnn", "resnet")  # networks of our own, trained from random weights

Phase = Literal["training", "fine-tuning"]
TrainingMeasure = Literal["top-1", "balanced accuracy", "mAP"]
_RATE, _SCRATCH_RATE, _HEAD_RATE, _FINE_RATE = 1e-3, 3e-3, 1e-2, 1e-4
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")


class Augmenting(Value):
    """Random changes of the images that are trained on, made by Keras' own layers.

    Attributes:
        flip: mirror left to right, upside down or both.
        rotation: up to so many degrees either way.
        shift, zoom, shear: up to this share of a side, or of the size, either way.
        brightness, contrast: up to this share of the range of levels, or of the contrast, either way.
    """

    flip: Literal["horizontal", "vertical", "both"] | None = None
    rotation: float = Field(default=0.0, ge=0, le=180)
    shift: float = Field(default=0.0, ge=0, lt=1)
    zoom: float = Field(default=0.0, ge=0, lt=1)
    shear: float = Field(default=0.0, ge=0, lt=1)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)

    @property
    def is_none(self) -> bool:
        """Whether images stay as they are."""
        return self == Augmenting()


class TrainingPlan(Value):
    """Everything that decides what a training makes of its images.

    Attributes:
        model: `cnn`, `resnet`, a name of `keras.applications`, or the path of a classifier as base.
        on_weights: whether the model brings weights, and its own layers so are frozen first.
        size: height and width of the images; None for what the model or the data say.
        grey: images of one channel.
        hidden: units of the dense layers between the features and the scores; None for the model's own.
        binary: of two classes, one sigmoid instead of two outputs of a softmax.
        multi_label: sigmoids, since an image may have several classes or none.
        dropout: share of the features that the head drops while it trains.
        epochs: passes over the training images, of a base while its own layers are frozen.
        fine_tune: passes after that, in which layers of the base train too.
        unfreeze: which: `100%`, the last `30%` of them, or from layer number `100` on.
        batch: images a step.
        learning_rate: at the start; None for what suits: see `first_rate`.
        fine_tune_rate: of the second phase; None for 0.0001.
        schedule: how it falls: along a cosine to zero, exponentially to a hundredth, by a factor of 5 after `plateau` epochs without a
            lower held-out loss, or not at all.
        weight_decay: of AdamW, on kernels alone.
        patience: epochs without a better one after which a phase stops; None: never.
        loss: cross-entropy, or focal loss with γ 2, which counts what is answered well for less.
        class_weights: what an image counts by its class: each the same, or the classes alike however many images they have.
        oversample: draw images of rarer classes several times an epoch, so that every class has as many as the largest.
        held_out: share of the training images that are not trained on, where the data have no part of their own for that.
        keep_duplicates: train also on pictures that are in another part as well.
        half: half precision where the processor gains by it.
        seed: of everything random.
        augmentation: random changes of images.
    """

    model: str = "cnn"
    on_weights: bool = False
    size: tuple[int, int] | None = None
    grey: bool = False
    hidden: tuple[int, ...] | None = None
    binary: bool = False
    multi_label: bool = False
    dropout: float | None = Field(default=None, ge=0, lt=1)
    epochs: int = Field(default=20, ge=1)
    fine_tune: int = Field(default=0, ge=0)
    unfreeze: str = "100%"
    batch: int = Field(default=32, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    fine_tune_rate: float | None = Field(default=None, gt=0)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["cosine", "exponential", "plateau", "constant"] = "cosine"
    plateau: int = Field(default=3, ge=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    patience: int | None = Field(default=None, ge=1)
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    class_weights: Literal["equal", "balanced"] = "equal"
    oversample: bool = False
    held_out: float = Field(default=0.2, gt=0, lt=0.9)
    keep_duplicates: bool = False
    half: bool = False
    seed: int = Field(default=0, ge=0)
    augmentation: Augmenting = Augmenting()

    @field_validator("unfreeze")
    @classmethod
    def _unfreeze_is_known(cls, text: str) -> str:
        share = _SHARE.fullmatch(text)
        if not (text.isdecimal() or (share and 0 < float(share[1]) <= 100)):
            raise ValueError("a layer's number, as 100, or the share of the last layers, as 30%")
        return text

    @model_validator(mode="after")
    def _check(self) -> TrainingPlan:
        if self.binary and self.multi_label:
            raise ValueError("one of --head binary (two classes that exclude each other) and --multi-label, not both")
        if self.fine_tune and self.model in SCRATCH:
            raise ValueError(
                f"--fine-tune without a base: every layer of {self.model} trains from the start; raise --epochs instead"
            )
        return self

    @property
    def first_rate(self) -> float:
        """The learning rate at the start: of a new head on a frozen base ten times that of a whole network.

        Networks of our own have a BatchNorm behind every layer and bear more of Adam: ten epochs of `cnn` on CIFAR-10 ended 4 points higher
        with it.
        """
        own = _SCRATCH_RATE if self.model in SCRATCH and self.optimizer != "sgd" else _RATE
        return self.learning_rate or (_HEAD_RATE if self.on_weights else own)

    @property
    def phases(self) -> tuple[tuple[Phase, int, float], ...]:
        """Name, epochs and first learning rate of each phase."""
        second = self.fine_tune_rate or _FINE_RATE  # of Adam; ten times as much, and a small base forgets all that it knew
        phases: list[tuple[Phase, int, float]] = [("training", self.epochs, self.first_rate)]
        return (*phases, ("fine-tuning", self.fine_tune, second)) if self.fine_tune else tuple(phases)

    def first_unfrozen(self, layers: int) -> int:
        """Index of the first of a base's layers that trains in the second phase."""
        share = _SHARE.fullmatch(self.unfreeze)
        return int(self.unfreeze) if share is None else layers - max(1, round(layers * float(share[1]) / 100))


class TrainingEpoch(Record):
    """How a model stood after one pass over its training images.

    Attributes:
        epoch: 1, 2, 3 …, through both phases.
        loss, accuracy: over the steps of this epoch, as Keras counts them while the weights change.
        held_out_loss, held_out_score: on the held-out images, in inference mode; the score is what `Training.measure` says, 0..1.
        learning_rate: at the end of the epoch.
        images_per_s: trained on, validation left out.
        seconds: with validation.
    """

    phase: Phase
    epoch: int
    loss: float
    accuracy: float | None = None
    held_out_loss: float
    held_out_score: float
    learning_rate: float
    images_per_s: float
    seconds: float


class TriedRate(Record):
    """What a learning rate reached on the held-out images; None where it did not converge."""

    learning_rate: float
    held_out_score: float | None
    held_out_loss: float | None


class RatePoint(Record):
    """Smoothed training loss while the learning rate is raised."""

    learning_rate: float
    loss: float


class Part(Record):
    """Images of one part of the data.

    Attributes:
        where_from: in words.
        images: how many.
        classes: label -> how many of them; of images with several labels each counts.
    """

    where_from: str
    images: int
    classes: dict[str, int]


class Training(FileRecord):
    """The record of a training.

    Attributes:
        data: where the images come from.
        parts: `training`, `held-out`, and `test` where there is one.
        measure: what held-out images are judged by.
        loss_kind: what was minimized, in words.
        parameters: numbers in the model, all of them and those that trained at last.
        layers_of_base: how many of the model's layers came with weights, and in which the second phase begins.
        kept_epoch: whose weights the model file has; 0 for those it started from.
        stopped: why before the last epoch; empty where it was not.
        notes: what a person should know of data and model.
        cpu_seconds: of all cores; `seconds` are those on the clock.
        peak_memory_bytes: of this process.
        evaluation: of `judged_on`, as `edgecls evaluate` tells it.
    """

    kind = f"a {TRAINING_NAME}"
    place = f"a folder with {TRAINING_NAME}"
    remedy = "run `edgecls train` to make it anew"

    schema_version: int = FileRecord.versions[-1]
    created: Instant
    edgecls_version: str
    data: str
    plan: TrainingPlan
    image_spec: ImageSpec
    labels: list[str]
    parts: dict[str, Part]
    measure: TrainingMeasure
    loss_kind: str
    parameters: int
    trainable_parameters: int
    layers_of_base: int = 0
    first_unfrozen: int | None = None
    rates: list[TriedRate] = Field(default_factory=list)
    rate_curve: list[RatePoint] = Field(default_factory=list)
    epochs: list[TrainingEpoch] = Field(default_factory=list)
    kept_epoch: int = 0
    stopped: str = ""
    judged_on: str = ""
    evaluation: Evaluation | None = None
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: Bytes = 0
    model_sha256: str = ""

    @classmethod
    def read(cls, folder: Path) -> Training:
        """The record in a training's folder.

        Raises:
            ArtifactError: none there that can be read.
        """
        return cls.read_file(folder / TRAINING_NAME)
