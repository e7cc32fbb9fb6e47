"""What every runner does at the border of its engine: which image the input tensor takes, and the scores that come out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats.last_operation import last_operation
from edgecls.formats.tflite.declared import Declared
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ColorOrder, ImageSpec, Layout
from edgecls.records.metadata import ArtifactMetadata

_MOST_CHANNELS = 4
_SIGMOIDS = ("LOGISTIC", "Sigmoid")  # as TFLite and ONNX call it
_LINEAR = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "ADD",
    "MEAN",
    "AVERAGE_POOL_2D",
    "Gemm",
    "MatMul",
    "Conv",
    "Add",
    "ReduceMean",
    "GlobalAveragePool",
)
_CACHED_BYTES = 512 << 10
NOTHING_DECLARED = Declared()


@dataclass(frozen=True)
class Quantization:
    """real = (stored - zero_point) * scale."""

    scale: float
    zero_point: int
    dtype: np.dtype

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Real values to stored ones, rounded to nearest and clipped to the dtype."""
        limits = np.iinfo(self.dtype)
        steps = values / np.float32(self.scale)
        np.rint(steps, out=steps)
        steps += self.zero_point
        return np.clip(steps, limits.min, limits.max, out=steps).astype(self.dtype)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Stored values to real ones, float32."""
        return (stored.astype(np.float32) - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True)
class InputTensor:
    """The engine's input for one image.

    Attributes:
        spec: the image it takes, in the layout of the file.
    """

    spec: ImageSpec

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape behind the batch, free dimensions filled in."""
        return self.spec.input_shape

    @property
    def batch(self) -> int:
        """How many images to feed at a time: a power of two up to 8, fewer of large ones. Their float values then stay in the
        processor's cache: larger batches cost more in memory traffic than they save in calls."""
        fitting = _CACHED_BYTES // (4 * math.prod(self.shape))
        return next(size for size in (8, 4, 2, 1) if size <= max(fitting, 1))

    def feed_into(self, image: np.ndarray, tensor: np.ndarray) -> None:
        """Pixels [N, H, W, C] into float32 [N, *shape] that is there already."""
        self.spec.apply(image, out=tensor)

    def feed(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 [N, *shape]."""
        return self.spec.apply(images)


@contextlib.contextmanager
def computing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what an engine raises while it computes, or what comes of shapes that it had not told, into one line.

    Raises:
        ArtifactError: the file could be opened, but not computed.
    """
    try:
        yield
    except (*kinds, MemoryError, OverflowError, TypeError, ValueError) as error:
        reason = " ".join(str(error).removeprefix("[ONNXRuntimeError] : ").split())[:300] or type(error).__name__
        raise ArtifactError(
            "a file that computes", f"{path}: {reason}", "it is damaged, or no image classifier: copy or convert it again"
        ) from None


def read_input(
    path: Path,
    shape: Sequence[int | None],
    *,
    given: ImageSpec | None,
    record: ArtifactMetadata | None,
    quantization: Quantization | None = None,
    declared: Declared = NOTHING_DECLARED,
) -> InputTensor:
    """Settle what image an input tensor takes.

    Args:
        path: the file, for errors.
        shape: the tensor's shape behind the batch; None where any size fits.
        given: the user's spec, which wins.
        record: what edgecls wrote into the file, which comes next; the axes of the file are those it names, where they fit.
        quantization: of an integer tensor. Where neither spec nor record is there, pixels enter an integer tensor as they are
            (shifted by 128 into int8), as integer models from elsewhere expect; a float tensor takes what the file declares, else
            pixels/255. The spec's note says so.
        declared: what the format's own metadata says.

    Raises:
        ArtifactError: the shape is no image's, or not the one of the spec.
    """
    spec = given or (record.image_spec if record else None) or _spec_of(path, shape, quantization, declared)
    for layout in (record.image_spec.layout if record else spec.layout, spec.layout, *_layouts(spec)):
        candidate = spec.model_copy(update={"layout": layout})
        if _fits(candidate.input_shape, shape):
            return InputTensor(candidate)
    expected = f"an input of {' x '.join(map(str, spec.input_shape))} as the image spec says"
    raise ArtifactError(expected, f"{path} with {_text(shape)}", "is it another model's spec or file?")


def read_output(path: Path, shape: Sequence[int | None]) -> int:
    """Number of scores of an output tensor whose shape behind the batch is `shape`.

    Raises:
        ArtifactError: it is no vector.
    """
    sizes = [size for size in shape if size != 1] or [1]
    if len(sizes) != 1 or sizes[0] is None:
        raise ArtifactError(
            "one vector of scores for each image", f"{path} with an output of {_text(shape)}", "name an image classifier"
        )
    return sizes[0]


def require_heads(path: Path, record: ArtifactMetadata | None, names: Sequence[str]) -> None:
    """Refuse files with more outputs than the one, or the heads that their record tells of.

    Raises:
        ArtifactError: more or less than that.
    """
    if record is None or not record.heads:
        require_single(path, "output", names)
    elif len(names) != len(record.heads):
        raise ArtifactError(
            f"{len(record.heads)} outputs, as its record says", f"{path} with {len(names)}", "it was changed: convert it again"
        )


def require_single(path: Path, kind: str, names: Sequence[str]) -> None:
    """Refuse files with more than one input or output.

    Raises:
        ArtifactError: more or less than one.
    """
    if len(names) != 1:
        raise ArtifactError(f"one {kind}", f"{path} with {len(names)}: {', '.join(names) or 'none'}", "name an image classifier")


def output_kind(path: Path, record: ArtifactMetadata | None, outputs: int) -> OutputKind:
    """What the scores are: as recorded, else by the operation that the file ends in, else what classifiers usually end in."""
    if record:
        return record.output_kind
    last = last_operation(path)
    if last in _LINEAR:
        return "logits"
    return "sigmoid" if outputs == 1 or last in _SIGMOIDS else "softmax"


def _layouts(spec: ImageSpec) -> tuple[Layout, ...]:
    """Those that a tensor of such images may have, the commonest first."""
    return ("HWC", "flat", "HW", "CHW") if spec.channels == 1 else ("HWC", "flat", "CHW")


def _spec_of(path: Path, shape: Sequence[int | None], quantization: Quantization | None, declared: Declared) -> ImageSpec:
    """The spec of a file without a record: its size from the tensor, its preprocessing as declared or assumed."""
    height, width, channels = _image_shape(path, shape)
    order: ColorOrder = {1: "GRAY", 3: "RGB"}.get(channels, "OTHER")  # pyright: ignore[reportAssignmentType]
    spec = ImageSpec(height=height, width=width, channels=channels, color_order=order)
    if quantization is None and declared.mean:
        return _as_declared(path, spec, declared)
    mean, std, how = 0.0, 255.0, "0..1 (pixels/255), the most common choice"
    if quantization is not None:
        offset = 128 if quantization.dtype == np.int8 else 0
        mean, std = float(quantization.zero_point + offset), 1.0 / quantization.scale
        how = f"pixels stored straight into its {quantization.dtype.name} input"
    note = f"{path.name} does not say how images enter it: assumed {how}; --preprocess changes that"
    return spec.model_copy(update={"mean": (mean,), "std": (std,), "note": note})


def _as_declared(path: Path, spec: ImageSpec, declared: Declared) -> ImageSpec:
    if len(declared.mean) not in (1, spec.channels):
        raise ArtifactError(
            f"a normalization of 1 or {spec.channels} channels",
            f"{path} with {len(declared.mean)} means in its metadata",
            "name the preprocessing with --preprocess",
        )
    update = {"mean": declared.mean, "std": declared.std, "provenance": "declared", "note": "its TFLite Metadata"}
    return spec.model_copy(update=update)


def _image_shape(path: Path, shape: Sequence[int | None]) -> tuple[int, int, int]:
    if None not in shape:
        sizes = [size or 0 for size in shape]
        if len(sizes) == 2:
            return sizes[0], sizes[1], 1
        if len(sizes) == 3:
            first = sizes[0] <= _MOST_CHANNELS < sizes[2]
            return (sizes[1], sizes[2], sizes[0]) if first else (sizes[0], sizes[1], sizes[2])
    raise ArtifactError(
        "an image as input", f"{path} with an input of {_text(shape)}", "name a classifier of images of a fixed size"
    )


def _fits(candidate: tuple[int, ...], shape: Sequence[int | None]) -> bool:
    return len(candidate) == len(shape) and all(size in (None, wanted) for size, wanted in zip(shape, candidate, strict=True))


def _text(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "a single number"
