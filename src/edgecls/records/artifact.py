"""Artifact and Manifest: what was produced, read back from the files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from edgecls.records.amounts import Bytes
from edgecls.records.image_spec import ImageSpec
from edgecls.records.instant import Instant
from edgecls.records.record import FileRecord, Record
from edgecls.system.store import PlainName, settle

Target = Literal["tflite", "coreml", "onnx", "saved_model"]
Scheme = Literal[
    "float32",
    "float16",
    "dynamic",
    "int8",
    "weight8",
    "weight4",
    "palette8",
    "palette6",
    "palette4",
    "palette2",
    "sparse",
    "sparse-palette4",
    "sparse-weight8",
]
OutputKind = Literal["softmax", "sigmoid", "logits"]
LabelsSource = Literal["file", "default", "assumed"]  # given or brought by the model; class_0 …; known of such networks
Border = Literal["float32", "int8", "uint8"]  # dtypes that a file takes and gives
Activation = Literal["softmax", "sigmoid"]  # what makes probabilities of logits
Estimator = Literal["minmax", "percentile", "mse"]  # of int8 ranges
OnnxLayout = Literal["nhwc", "nchw"]
OnnxBatch = int | Literal["free"]
Verdict = Literal["passed", "failed", "not judged", "structure", "skipped"]

TARGETS: tuple[Target, ...] = get_args(Target)
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
DEFAULT_TARGETS: tuple[Target, ...] = (
    "tflite",
    "coreml",
    "onnx",
)  # for phones, browsers and small machines; a service is asked for
FORMATS: dict[str, str] = {
    "tflite": "TFLite",
    "onnx": "ONNX",
    "coreml": "Core ML",
    "saved_model": "SavedModel",
}  # as people call them
SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "coreml": ".mlpackage", "onnx": ".onnx", "saved_model": ".savedmodel"}
MANIFEST_NAME = "manifest.json"
REFERENCE_NAME = "reference.npz"


class FloatRemainder(Record):
    """An operation of a quantized artifact that still computes in float, and why."""

    operation: str
    name: str
    reason: str


class Actual(Record):
    """What a produced file really holds, read back from it.

    Attributes:
        weight_dtypes: dtype -> number of weight elements stored in it.
        activation_dtypes: dtype -> number of tensors between operations of it.
        operations: operation -> how often.
        stayed_float: operations that compute in float although a quantized scheme was asked.
        sparsity: share of weight elements that are exactly zero (for integers: equal to their zero point), 0..1.
        distinct_values: layer -> number of different values stored in its kernel, where they are at most 256.
        input_dtype, output_dtype: dtypes at the border.
        minimum_deployment_target: Core ML alone, as `iOS15`.
    """

    weight_dtypes: dict[str, int]
    activation_dtypes: dict[str, int]
    operations: dict[str, int]
    stayed_float: list[FloatRemainder] = Field(default_factory=list)
    sparsity: float = 0.0
    distinct_values: dict[str, int] = Field(default_factory=dict)
    input_dtype: str
    output_dtype: str
    minimum_deployment_target: str | None = None

    @property
    def eight_bit_weights(self) -> int:
        """Number of weights that are codes of eight bits: int8 or, in ONNX, uint8, which are the same codes, 128 higher."""
        return self.weight_dtypes.get("int8", 0) + self.weight_dtypes.get("uint8", 0)


class Head(Record):
    """One of several outputs that are converted together.

    Attributes:
        name: in the model.
        output: in the artifacts; that of the first, which classifies, is `scores`.
        outputs: length of its vector of scores.
    """

    name: str
    output: str
    outputs: int
    output_kind: OutputKind


class Parity(Record):
    """How an artifact's scores compare with the source model's on the same inputs.

    Attributes:
        head: of several heads the one that all of this is about, the worst; empty where there is one.
        samples: number of inputs compared.
        max_abs_diff: largest absolute difference of any score; None where nothing could be executed.
        max_abs_score: largest absolute score of the source: what `max_abs_diff` is relative to.
        top1_agreement: share of inputs with the same winner, or the same set of classes where several sigmoids answer, 0..1.
        snr_db: signal-to-noise ratio of the scores in decibels.
        inputs: `images` (the user's) or `synthetic`.
        verdict: `structure` where the file could be examined but not computed here: a Core ML program with an operation that the
            reference lacks; `not judged` where synthetic images alone cannot tell a sound artifact of its scheme from a wrong one.
        reason: why the verdict is not `passed`.
    """

    samples: int
    max_abs_diff: float | None = None
    max_abs_score: float | None = None
    top1_agreement: float | None = None
    snr_db: float | None = None
    inputs: Literal["images", "synthetic"]
    verdict: Verdict
    reason: str = ""
    head: str = ""


class Requested(Record):
    """What was asked for.

    Attributes:
        keep_float: of an int8 artifact, the operations that were to stay float, by the names of their tensors in the float TFLite file.
        mixed_precision: the accuracy goal that chose them, as `drop<=0.5`; None where the user named them.
        onnx_weights: of an ONNX int8 artifact, the dtype of its kernels but depthwise ones; int8 ones are right on some processors alone.
        onnx_layout: of an ONNX artifact, the axes of its input; None for those of the model.
        onnx_batch: of an ONNX artifact, how many images it takes at once; None for any number where the model allows it.
    """

    target: Target
    scheme: Scheme
    io: Border = "float32"
    estimator: str | None = None
    minimum_deployment_target: str | None = None
    keep_float: list[str] = Field(default_factory=list)
    mixed_precision: str | None = None
    onnx_weights: Literal["uint8", "int8"] | None = None
    onnx_layout: OnnxLayout | None = None
    onnx_batch: OnnxBatch | None = None


class Artifact(Record):
    """One produced file or package.

    Attributes:
        name: `<variant>-<target>-<scheme>`, unique in a manifest.
        path: its name in the manifest's folder.
        status: `ok`; `rejected` (kept aside, parity failed); `failed` (no file).
        size_bytes: bytes on disk, a package's files added up.
        compressed_bytes: bytes after deflate, as an app store ships it.
        sha256: of the file; of a package: of its sorted relative paths and contents.
        seconds: time spent making it, verification apart.
    """

    name: str
    path: PlainName
    variant: str = "base"
    target: Target
    scheme: Scheme
    status: Literal["ok", "rejected", "failed"] = "ok"
    reason: str = ""
    requested: Requested
    actual: Actual | None = None
    size_bytes: Bytes = 0
    compressed_bytes: Bytes = 0
    sha256: str = ""
    parity: Parity | None = None
    seconds: float = 0.0


class Repair(Record):
    """One small change that made an old file load."""

    layer: str
    field: str
    action: str


class Source(Record):
    """The model everything came from.

    Attributes:
        sha256: of the file or folder, and of what was read beside it.
        output, signature: of several, those that classify.
        input_size: height x width that were given to a model of open ones.
        custom_objects: name of the Python file with its custom classes.
    """

    name: str
    sha256: str
    format: str
    keras_version: str | None = None
    output: str | None = None  # of several, the one that classifies, or those converted together, divided by commas
    signature: str | None = None
    input_size: str | None = None
    custom_objects: str | None = None


class DataSource(Record):
    """A path to images and how it was used."""

    path: str
    role: Literal["calibration", "data"]
    images: int


class Manifest(FileRecord):
    """`manifest.json` beside the artifacts.

    Attributes:
        notes: what a person should know; what concerns one artifact begins with its name and a colon (`records/note.py`).
        details: how the artifacts were made, in the same form; for those who ask.
    """

    kind = "a manifest"
    place = f"an artifacts folder with {MANIFEST_NAME}"
    remedy = "run `edgecls convert MODEL` to make the folder anew"

    schema_version: int = FileRecord.versions[-1]
    created: Instant
    edgecls_version: str
    source: Source
    image_spec: ImageSpec
    labels: list[str]
    labels_source: LabelsSource
    output_kind: OutputKind
    outputs: int
    heads: list[Head] = Field(default_factory=list)  # where several outputs were converted together; all else is about the first
    toolchain: dict[str, str]
    repairs: list[Repair] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    details: list[str] = Field(default_factory=list)
    data: list[DataSource] = Field(default_factory=list)
    recipes: dict[str, dict[str, Any]] = Field(default_factory=dict)  # variant -> what made it; nothing for the base
    artifacts: list[Artifact]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of an artifacts folder, which then is as one conversion left it, whatever was killed in there.

        Raises:
            ArtifactError: none there, damaged, or of another schema version.
            OutputError: a change that a killed process had begun cannot be finished.
        """
        settle(folder)
        return cls.read_file(folder / MANIFEST_NAME)
