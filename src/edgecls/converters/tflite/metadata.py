"""TFLite Metadata: labels and normalization in the form MediaPipe Tasks and Android's ML binding read, beside the edgecls record.

The table follows `metadata_schema.fbs`. Its labels are a file in a zip that is appended to the .tflite.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import flatbuffers
import numpy as np

from edgecls.converters.tflite.edit import SignatureNames, edit, pack_offsets, pack_table
from edgecls.converters.tflite.uint8_border import pixel_codes
from edgecls.formats.tflite.schema import METADATA_BUFFER, ModelMetadata, SubGraphMetadata, TensorMetadata
from edgecls.records.artifact import Border, Head
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata

LABELS_FILE = "labels.txt"
_INPUT_NAME, _OUTPUT_NAME = "image", "scores"
_IDENTIFIER = b"M001"
_MIN_PARSER_VERSION = "1.0.0"  # NormalizationOptions, ImageProperties and TENSOR_AXIS_LABELS are all of the first version
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same input gives the same bytes

# enumerations and unions of metadata_schema.fbs
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_COLOR_SPACES = {"RGB": 1, "GRAY": 2}  # BGR has no value of its own: unknown (0), so that nobody feeds it RGB
_NORMALIZATION_OPTIONS = 1
_TENSOR_AXIS_LABELS = 2


def add_signature(model: bytes, heads: Sequence[Head] = ()) -> bytes:
    """A copy of a .tflite with the signature `serving_default`, which a file made from a frozen graph lacks; with one it is kept.

    Args:
        heads: of a file with several outputs.

    Raises:
        DamagedError: `model` is no sound TFLite file.
    """
    return edit(model, metadata={}, signature=_signature_names(heads))


def _signature_names(heads: Sequence[Head]) -> SignatureNames:
    return SignatureNames(_INPUT_NAME, (_OUTPUT_NAME, *(head.output for head in heads[1:])))


def write_tflite(model: bytes, record: ArtifactMetadata) -> bytes:
    """A copy of a .tflite with a signature, TFLite Metadata, the edgecls record and the labels; a signature that is there is kept.

    Args:
        model: a classifier of one input and the heads of the record, as a converter wrote it.
        record: what goes into it.

    Raises:
        DamagedError: `model` is no sound TFLite file.
    """
    metadata = {METADATA_BUFFER: _metadata(record), METADATA_KEY: record.model_dump_json().encode()}
    names = _signature_names(record.heads)
    return edit(model, metadata=metadata, signature=names, tail=_labels_zip(record))


def mediapipe_refusal(spec: ImageSpec, io: Border = "float32", outputs: int = 1) -> str | None:
    """Why MediaPipe Tasks' ImageClassifier does not open such a file, or not feed it rightly, None where it does both.

    Each reason is one of its own checks (MediaPipe 1.2.2); the metadata is written truly all the same, for other readers.
    """
    reasons = {
        f"it has {outputs} outputs, MediaPipe Tasks wants labels for each": outputs > 1,
        "its input is int8, MediaPipe Tasks takes float32 or uint8": io == "int8",
        "its uint8 input takes codes, MediaPipe Tasks gives it the pixels themselves": io == "uint8"
        and pixel_codes(spec) is None,
        "its input has channels first, MediaPipe Tasks takes channels last alone": spec.layout == "CHW",
        f"its input has no axis of channels (layout {spec.layout}), MediaPipe Tasks takes images alone": spec.layout
        in ("HW", "flat"),
        f"its input is {spec.color_order}, MediaPipe Tasks takes RGB alone": spec.color_order != "RGB",
        "each channel has its own mean and std, MediaPipe Tasks normalizes all channels alike": len(_normalization(spec)[0]) > 1,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def axis_labels(record: ArtifactMetadata) -> list[str]:
    """One label per score. The single score of a two-class sigmoid is that of the second label."""
    return record.labels[-1:] if record.outputs == 1 else record.labels


def _labels_zip(record: ArtifactMetadata) -> bytes:
    lines = "".join(" ".join(label.split()) + "\n" for label in axis_labels(record))  # a label must not break its line
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, _EPOCH), lines.encode())
    return stream.getvalue()


def _metadata(record: ArtifactMetadata) -> bytes:
    builder = flatbuffers.Builder(1024)
    inputs = pack_offsets(builder, [_input(builder, record.image_spec)])
    tables = [_output(builder, record), *(_other_output(builder, head) for head in record.heads[1:])]
    outputs = pack_offsets(builder, tables)
    subgraph = pack_table(builder, {SubGraphMetadata.INPUTS: inputs, SubGraphMetadata.OUTPUTS: outputs})
    root: dict[int, int | None] = {
        ModelMetadata.NAME: builder.CreateString(record.title),
        ModelMetadata.DESCRIPTION: builder.CreateString(f"Image classifier of {len(record.labels)} classes."),
        ModelMetadata.VERSION: builder.CreateString(record.source_sha256[:12]),
        ModelMetadata.SUBGRAPHS: pack_offsets(builder, [subgraph]),
        ModelMetadata.MIN_PARSER_VERSION: builder.CreateString(_MIN_PARSER_VERSION),
    }
    builder.Finish(pack_table(builder, root), _IDENTIFIER)
    return bytes(builder.Output())


def _normalization(spec: ImageSpec) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of one length: one value where all channels are alike, else one per channel."""
    mean, std = (np.array(values, np.float32) for values in np.broadcast_arrays(spec.mean, spec.std))
    alike = np.all(mean == mean[0]) and np.all(std == std[0])
    return (mean[:1], std[:1]) if alike else (mean, std)


def _input(builder: flatbuffers.Builder, spec: ImageSpec) -> int:
    mean, std = _normalization(spec)
    options = pack_table(builder, {0: builder.CreateNumpyVector(mean), 1: builder.CreateNumpyVector(std)})
    unit = pack_table(builder, {1: options}, {0: ("Uint8", _NORMALIZATION_OPTIONS)})
    ends = np.stack([(0 - mean) / std, (255 - mean) / std])
    highest, lowest = builder.CreateNumpyVector(ends.max(axis=0)), builder.CreateNumpyVector(ends.min(axis=0))
    fields: dict[int, int | None] = {
        TensorMetadata.NAME: builder.CreateString(_INPUT_NAME),
        TensorMetadata.DESCRIPTION: builder.CreateString(_input_description(spec)),
        TensorMetadata.CONTENT: _content(builder, spec),
        TensorMetadata.PROCESS_UNITS: pack_offsets(builder, [unit]),
        TensorMetadata.STATS: pack_table(builder, {0: highest, 1: lowest}),
    }
    return pack_table(builder, fields)


def _content(builder: flatbuffers.Builder, spec: ImageSpec) -> int:
    """An image where the tensor is one; a tensor without channel axis, or of other channels, is a feature to the schema."""
    if spec.layout != "HWC" or spec.color_order == "OTHER":
        return pack_table(builder, {1: pack_table(builder, {})}, {0: ("Uint8", _FEATURE_PROPERTIES)})
    properties = pack_table(builder, {}, {0: ("Uint8", _COLOR_SPACES.get(spec.color_order, 0))})
    return pack_table(builder, {1: properties}, {0: ("Uint8", _IMAGE_PROPERTIES)})


def _input_description(spec: ImageSpec) -> str:
    shape = " x ".join(map(str, spec.input_shape))
    order = {"RGB": "red, green, blue", "BGR": "blue, green, red", "GRAY": "grey", "OTHER": "unnamed channels"}[spec.color_order]
    resizing = f"Pictures become that size by fit {spec.fit_choice} and filter {spec.filter}."
    return f"Image of {spec.height} x {spec.width} pixels ({order}) as a tensor 1 x {shape}: (pixel - mean) / std. {resizing}"


def _other_output(builder: flatbuffers.Builder, head: Head) -> int:
    fields: dict[int, int | None] = {
        TensorMetadata.NAME: builder.CreateString(head.output),
        TensorMetadata.DESCRIPTION: builder.CreateString(f"The model's output {head.name}."),
        TensorMetadata.CONTENT: pack_table(builder, {1: pack_table(builder, {})}, {0: ("Uint8", _FEATURE_PROPERTIES)}),
    }
    return pack_table(builder, fields)


def _output(builder: flatbuffers.Builder, record: ArtifactMetadata) -> int:
    names = {0: builder.CreateString(LABELS_FILE), 1: builder.CreateString("One label per line, in the order of the scores.")}
    file = pack_table(builder, names, {2: ("Uint8", _TENSOR_AXIS_LABELS)})
    fields: dict[int, int | None] = {
        TensorMetadata.NAME: builder.CreateString(_OUTPUT_NAME),
        TensorMetadata.DESCRIPTION: builder.CreateString(f"Score of each class: {record.scores}."),
        TensorMetadata.CONTENT: pack_table(builder, {1: pack_table(builder, {})}, {0: ("Uint8", _FEATURE_PROPERTIES)}),
        TensorMetadata.ASSOCIATED_FILES: pack_offsets(builder, [file]),
    }
    if record.output_kind != "logits":
        highest, lowest = (builder.CreateNumpyVector(np.array([value], np.float32)) for value in (1.0, 0.0))
        fields[TensorMetadata.STATS] = pack_table(builder, {0: highest, 1: lowest})
    return pack_table(builder, fields)
