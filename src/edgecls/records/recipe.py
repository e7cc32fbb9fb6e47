"""Recipe: what to do to the weights of a model. Frozen values, strict on unknown keys; as a TOML file or built from flags."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgecls.errors import RecipeError
from edgecls.records.artifact import Estimator
from edgecls.records.record import Record

BASE, CONTROL = "base", "control"
UNSTRUCTURED = "unstructured"
TWO_OF_FOUR = "2:4"
_BLOCK = re.compile(r"[1-9]\d?x[1-9]\d?")
_CONTROL = re.compile(rf"{CONTROL}\d?")
_STAGE = r"(pruned(-channels)?\d+(\.\d+)?|clustered\d+|qat)"
_STAGES = re.compile(rf"{_STAGE}(-{_STAGE})*")

T = TypeVar("T", bound="Value")


class Value(Record):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True)


class ChannelPruning(Value):
    """Remove whole channels, in rounds with short training between them; what is left is an ordinary, smaller model.

    Attributes:
        share: of the multiply-accumulates that goes, between 0 and 1, both excluded.
        by: what is counted: `macs`, multiply-accumulates, or `latency`, the kernels' time on this machine, of which `share` then goes.
        importance: what tells which channels go first: `taylor`, how much the loss on training images would change; `magnitude` of their
            weights; `batchnorm`, the size of the factors that a BatchNorm gives them; `random`, for comparison.
        multiple: how many channels stay of a layer is a multiple of this, halved until the layer has four times as many.
        rounds: in how many steps the share is reached.
        round_epochs: passes over the training images after each round but the last, which the fine-tuning of `training` follows.
        images: how many training images the importance is measured on.
        distill: learn from the base's scores, as `training` says or with its defaults.
    """

    share: float = Field(gt=0, lt=1)
    by: Literal["macs", "latency"] = "macs"
    importance: Literal["taylor", "magnitude", "batchnorm", "random"] = "taylor"
    multiple: int = Field(default=8, ge=1, le=64)
    rounds: int = Field(default=3, ge=1, le=20)
    round_epochs: int = Field(default=1, ge=1)
    images: int = Field(default=512, ge=1)
    distill: bool = True

    @property
    def name(self) -> str:
        """As `pruned-channels50`."""
        return f"pruned-channels{round(100 * self.share, 3):g}"


class Pruning(Value):
    """Set the weights of least magnitude to zero while training goes on, layer by layer, and hold them there.

    Attributes:
        sparsity: share of each pruned kernel's weights that end as exactly zero, between 0 and 1, both excluded.
        schedule: `polynomial` rises to it fast at first and slower later, as 1 - (1 - t)³ (Zhu and Gupta, arXiv 1710.01878);
            `constant` is there at once.
        end: share of the training steps after which the sparsity is reached and the masks stay as they are.
        pattern: `unstructured`; `2:4`, two zeros in every four weights along the inputs; or blocks that vanish together, as `4x1`
            (inputs × outputs).
        skip_first, skip_last: leave the first convolution, or the classifying layer, as it is.
    """

    sparsity: float = Field(gt=0, lt=1)
    schedule: Literal["polynomial", "constant"] = "polynomial"
    end: float = Field(default=0.5, gt=0, le=1)
    pattern: str = UNSTRUCTURED
    skip_first: bool = False
    skip_last: bool = False

    @field_validator("pattern")
    @classmethod
    def _known_pattern(cls, pattern: str) -> str:
        if pattern not in (UNSTRUCTURED, TWO_OF_FOUR) and not _BLOCK.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not {UNSTRUCTURED}, {TWO_OF_FOUR} or a block such as 4x1")
        return pattern

    @model_validator(mode="after")
    def _check(self) -> Pruning:
        if self.pattern == TWO_OF_FOUR and self.sparsity != 0.5:
            raise ValueError(f"the pattern 2:4 is a sparsity of 0.5, not of {self.sparsity:g}")
        return self

    @property
    def name(self) -> str:
        """As `pruned50`."""
        return f"pruned{round(100 * self.sparsity, 3):g}"


class Clustering(Value):
    """Let each kernel hold few distinct values: centroids found by k-means on its weights, which then train on.

    Attributes:
        clusters: distinct values in each clustered kernel. Where the weights are pruned, zero is one of them.
        skip_first, skip_last: leave the first convolution, or the classifying layer, as it is.
    """

    clusters: int = Field(ge=2, le=256)
    skip_first: bool = False
    skip_last: bool = False

    @property
    def name(self) -> str:
        """As `clustered16`."""
        return f"clustered{self.clusters}"


class QuantizationAwareTraining(Value):
    """Train with int8 rounding in the forward pass.

    Attributes:
        per_channel: a scale for every output channel of a kernel; else one for the whole kernel. Clustered kernels always have one: with a
            scale for every channel, few distinct values would become many.
        estimator: how the activations' ranges start, from calibration images.
        freeze: share of the training steps after which ranges stay as they are.
        calibration_images: how many of the training images the ranges start from.
        keep_float: layers that compute in float while training, and in the int8 files of the variant.
    """

    per_channel: bool = True
    estimator: Estimator = "mse"
    freeze: float = Field(default=0.9, ge=0, le=1)
    calibration_images: int = Field(default=200, ge=1)
    keep_float: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`qat`."""
        return "qat"


class Augmentation(Value):
    """Random changes of the training images.

    Attributes:
        flip: mirror every second image, left to right.
        shift: most that an image moves, as a share of its side; edges are repeated.
        zoom: most that an image is enlarged, as a share; what leaves the frame is cropped.
    """

    flip: bool = False
    shift: float = Field(default=0.0, ge=0, lt=0.5)
    zoom: float = Field(default=0.0, ge=0, lt=1)


class Distillation(Value):
    """Learn from the float model's scores as well as from the labels (Hinton et al., arXiv 1503.02531).

    Attributes:
        temperature: softens both models' scores before they are compared.
        weight: share of this loss; the rest is that of the labels.
    """

    temperature: float = Field(default=2.0, gt=0)
    weight: float = Field(default=0.7, gt=0, le=1)


class Training(Value):
    """How every stage is fine-tuned.

    Attributes:
        epochs: passes over the training images, for every stage.
        batch: images a step.
        learning_rate: at the start; it falls to zero along a cosine.
        optimizer: AdamW, or SGD with momentum 0.9 (Nesterov).
        weight_decay: of AdamW, on kernels alone.
        held_out: share of the training images that are not trained on, but tell accuracy after every epoch,
            where the data have no part for that.
        patience: epochs without a better held-out accuracy after which a stage stops; its best epoch is then kept. None: train to the end.
        limit: at most so many training images; None for all.
        seed: of the order of images, augmentation, dropout and the held-out split.
    """

    epochs: int = Field(default=3, ge=1)
    batch: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(default=1e-4, ge=0)
    held_out: float = Field(default=0.1, gt=0, lt=0.9)
    patience: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    augmentation: Augmentation | None = None
    distillation: Distillation | None = None


Reduction = ChannelPruning | Pruning | Clustering  # what leaves less of the weights, as much less as it is asked to
Stage = Reduction | QuantizationAwareTraining
STAGE_FIELDS: dict[type[Stage], str] = {  # the name of each in recipes and in the records of variants
    ChannelPruning: "channels",
    Pruning: "pruning",
    Clustering: "clustering",
    QuantizationAwareTraining: "qat",
}


class Recipe(Value):
    """Everything `edgecls compress` does to one model.

    Attributes:
        channels, pruning, clustering, qat: the techniques asked for; None for those that are not.
        training: how each is fine-tuned.
        control: also train the model without any of them, as many stages as the variants have, so that a table can say what compression
            cost and not what training gained: `control` beside variants of one stage, `control2` beside those of two.
        variants: names of the variants to make, as `pruned50-qat`, which is made from `pruned50`; None for every combination.
    """

    may_be_empty: ClassVar[bool] = False  # whether there may be nothing to train

    channels: ChannelPruning | None = None
    pruning: Pruning | None = None
    clustering: Clustering | None = None
    qat: QuantizationAwareTraining | None = None
    training: Training = Training()
    control: bool = False
    variants: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if not self.trains and not self.may_be_empty:
            raise ValueError("nothing to do: ask for channels, pruning, clustering, qat or control")
        if self.variants is not None:
            possible = self.possible
            unknown = [name for name in self.variants if name not in possible]
            if unknown or not self.variants:
                raise ValueError(f"variants among {', '.join(possible)}, not {', '.join(unknown) or 'none'}")
        return self

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return bool(self.techniques) or self.control

    @property
    def techniques(self) -> tuple[Stage, ...]:
        """Those asked for, in the order they are applied: channels go, then weights become zero, then few, then int8."""
        return tuple(part for name in STAGE_FIELDS.values() if (part := getattr(self, name)) is not None)

    @property
    def possible(self) -> dict[str, tuple[Stage, ...]]:
        """Name -> its stages, for every combination, those of fewer stages first."""
        combinations: list[tuple[Stage, ...]] = [()]
        for technique in self.techniques:
            combinations += [(*stages, technique) for stages in combinations]
        return {variant_name(stages): stages for stages in sorted(combinations, key=len) if stages}

    @property
    def wanted(self) -> dict[str, tuple[Stage, ...]]:
        """The controls, then the variants that were asked for, with those they start from."""
        asked = [stages for name, stages in self.possible.items() if self.variants is None or name in self.variants]
        lengths = sorted({len(stages) for stages in asked}) or [1]
        controls: dict[str, tuple[Stage, ...]] = {control_name(length): () for length in lengths} if self.control else {}
        return controls | {
            name: stages for name, stages in self.possible.items() if any(other[: len(stages)] == stages for other in asked)
        }


def variant_name(stages: tuple[Stage, ...]) -> str:
    """Name of the variant that these stages make of the base, as `pruned50-qat`; `base` for none."""
    return "-".join(stage.name for stage in stages) or BASE


def control_name(stages: int) -> str:
    """Name of the control that trains as long as variants of so many stages."""
    return CONTROL if stages == 1 else f"{CONTROL}{stages}"


def control_stages(name: str) -> int | None:
    """How many stages a control trains as long as; None for a variant that is none."""
    return int(name.removeprefix(CONTROL) or 1) if _CONTROL.fullmatch(name) else None


def is_variant_name(name: str) -> bool:
    """Whether a name is one that a recipe can give."""
    return name == BASE or control_stages(name) is not None or _STAGES.fullmatch(name) is not None


def fingerprint(*facts: Value | str) -> str:
    """sha256 of values and texts."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update((fact if isinstance(fact, str) else fact.model_dump_json()).encode() + b"\0")
    return digest.hexdigest()


def read_recipe(path: Path, kind: type[T]) -> T:
    """A recipe file.

    Raises:
        RecipeError: no readable TOML, a key that is not known, a value out of its range, or keys that contradict each other.
    """
    try:
        with path.open("rb") as stream:
            content = tomllib.load(stream)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise RecipeError("a recipe file in TOML", f"{path}: {reason}", "check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError("a recipe file in TOML", f"{path}: {error}", "mend the line it names") from None
    return parse_recipe(content, kind, str(path))


def parse_recipe(content: dict[str, Any], kind: type[T], where: str) -> T:
    """A recipe from plain values.

    Raises:
        RecipeError: as `read_recipe`.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = "; ".join(_sentence(detail, kind) for detail in error.errors()[:3])
        raise RecipeError("a recipe of known keys and possible values", f"{where}: {found}", "mend it there") from None


def parse_options(content: dict[str, Any], kind: type[T], names: Mapping[str, str]) -> T:
    """A value from options of the command line.

    Args:
        names: key -> the option that gives its value, where that is not called as the last part of the key.

    Raises:
        RecipeError: a value out of its range, or values that contradict each other.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = "; ".join(_option_sentence(detail, names) for detail in error.errors()[:3])
        raise RecipeError("options with possible values", found, "choose others") from None


def _option_sentence(detail: Any, names: Mapping[str, str]) -> str:
    parts = [part for part in detail["loc"] if isinstance(part, str)]
    key = ".".join(parts)
    return _told(detail, key and (names.get(key) or f"--{parts[-1].replace('_', '-')}"))


def _sentence(detail: Any, kind: type[Value]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"the unknown key {key} (known beside it: {', '.join(_neighbours(detail['loc'], kind))})"
    return _told(detail, key)


def _told(detail: Any, key: str) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = "" if detail["type"] in ("value_error", "missing") else f", given {detail['input']!r}"
    return f"{key}: {message}{given}" if key else message


def _neighbours(location: tuple[Any, ...], kind: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        annotation: Any = kind.model_fields[part].annotation
        kind = next(item for item in (annotation, *getattr(annotation, "__args__", ())) if isinstance(item, type))
    return sorted(kind.model_fields)
