"""Examines a Core ML package where Core ML itself is absent: everything that can be known without executing it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.converters.coreml import program as coreml_program
from edgecls.errors import ArtifactError
from edgecls.formats.coreml.labels import unique_labels
from edgecls.formats.coreml.read import Package, class_labels, features, image_color, open_package, preprocessing
from edgecls.formats.embedded_record import parse_record
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata
from edgecls.system.extras import require


def check_structure(path: Path, record: ArtifactMetadata) -> str:
    """Why a package is not the classifier `record` describes, in one sentence; empty when it is.

    The package is read back from disk; coremltools rebuilds and validates its program, which checks every operation, its parameters
    and the shapes of all tensors between; weights must be finite; labels, image input, preprocessing and record must be as asked.

    Raises:
        MissingExtraError: coremltools is not installed.
    """
    require("coremltools")
    try:
        package = open_package(path)
        written = parse_record(package.spec.description.metadata.userDefined.get(METADATA_KEY, ""), path)
    except ArtifactError as error:
        return f"found {error.found}"
    if written != record:
        differing = [name for name in ArtifactMetadata.model_fields if getattr(written, name) != getattr(record, name)]
        return f"the record inside differs in {', '.join(differing)}"
    return (
        _check_program(package)
        or _check_weights(package)
        or _check_labels(package, record)
        or _check_input(package, record.image_spec)
        or _check_preprocessing(package, record.image_spec)
    )


def _check_program(package: Package) -> str:
    """Let coremltools rebuild the program: unknown operations, wrong parameters, types and shapes end this."""
    from coremltools.converters.mil.frontend.milproto.load import load

    try:
        with coreml_program.quiet():
            program = load(package.spec, package.spec.specificationVersion, _weights_folder(package))
            program.validate()
    except coreml_program.CONVERTER_ERRORS as error:
        return f"coremltools cannot rebuild the program: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def _weights_folder(package: Package) -> str:
    return str(package.files.model.parent / "weights")


def _check_weights(package: Package) -> str:
    for name, values in package.float_values():
        if not np.isfinite(values).all():
            return f"constant {name!r} has {int((~np.isfinite(values)).sum())} values that are not finite"
    return ""


def _check_labels(package: Package, record: ArtifactMetadata) -> str:
    expected, found = unique_labels(record.labels), class_labels(package)
    if len(found) != len(expected):
        return f"it has {len(found)} class labels, the record {len(expected)}"
    differing = [index for index, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]]
    if differing:
        return f"class {differing[0]} is labelled {found[differing[0]]!r}, not {expected[differing[0]]!r}"
    description = package.spec.description
    names = [output.name for output in features(package.spec, "output")]
    if [description.predictedFeatureName, description.predictedProbabilitiesName] != names[:2]:
        return f"its outputs {names} are not the predicted label and the scores"
    others = [head.output for head in record.heads[1:]]
    return "" if names[2:] == others else f"its outputs behind the scores are {names[2:]}, not {others}"


def _check_input(package: Package, spec: ImageSpec) -> str:
    inputs = features(package.spec, "input")
    if len(inputs) != 1:
        return f"it has {len(inputs)} inputs"
    kind = inputs[0].type
    if not coreml_program.is_image(spec):
        expected, found = [1, spec.height, spec.width, spec.channels], list(kind.multiArrayType.shape)
        return "" if found == expected else f"its input has the shape {found}, not {expected}"
    if kind.WhichOneof("Type") != "imageType":
        return "its input is no image"
    image = kind.imageType
    expected_image = (spec.width, spec.height, coreml_program.color_layout(spec))
    found_image = (image.width, image.height, image_color(image))
    if found_image == expected_image:
        return ""
    return "its input is an image of {} x {} {}, not {} x {} {}".format(*found_image, *expected_image)


def _check_preprocessing(package: Package, spec: ImageSpec) -> str:
    # scale and bias are products of at most three float32 roundings of relative size 6e-8; bias is a sum whose terms are no larger
    # than the largest bias
    scale, bias = preprocessing(package)
    expected_scale, expected_bias = coreml_program.scale_and_bias(spec)
    for name, found, expected in (("scale", scale, expected_scale), ("bias", bias, expected_bias)):
        if not np.allclose(found, expected, rtol=1e-6, atol=1e-6 * float(np.abs(expected).max())):
            return f"it applies the {name} {found.tolist()} to pixels, not {expected.tolist()}"
    return ""
