"""What goes into a file and comes out of it, as an app must know it."""

from __future__ import annotations

from pathlib import Path

from edgecls.errors import ArtifactError
from edgecls.formats import TensorInfo, describe
from edgecls.records.app_contract import Border, EmbeddedArtifact
from edgecls.records.artifact import Artifact, Target


def embedded(folder: Path, artifact: Artifact) -> EmbeddedArtifact:
    """An artifact of a folder with its input and its scores, read from the file.

    Raises:
        ArtifactError: it cannot be read, or gives no scores.
    """
    path = folder / artifact.path
    found = describe(path)
    scores = next((tensor for tensor in found.outputs if tensor.dtype not in ("string", "int64")), None)
    if scores is None or not found.inputs:
        raise ArtifactError("a file that takes images and gives scores", f"{path} without", "convert the model again")
    return EmbeddedArtifact(
        name=artifact.name,
        file=artifact.path,
        target=artifact.target,
        scheme=artifact.scheme,
        size_bytes=artifact.size_bytes,
        compressed_bytes=artifact.compressed_bytes,
        sha256=artifact.sha256,
        input=_border(found.inputs[0], artifact.target, is_input=True),
        output=_border(scores, artifact.target),
    )


def _border(tensor: TensorInfo, target: Target, *, is_input: bool = False) -> Border:
    kind = None
    if is_input and target == "coreml":
        kind = "image" if tensor.dtype == "uint8" else "multiarray"  # Core ML's arrays are of no such type
    shape = [axis or 1 for axis in tensor.shape]  # a free axis is that of the images
    return Border(name=tensor.name, dtype=tensor.dtype, shape=shape, quantization=tensor.codes, kind=kind)
