"""Where things are in a SavedModel that edgecls made: `NAME.savedmodel/1/`, as TensorFlow Serving looks for versions of a model."""

from __future__ import annotations

from pathlib import Path

from edgecls.errors import ArtifactError

VERSION = "1"
GRAPH_NAME = "saved_model.pb"
RECORD_PATH = "assets.extra/edgecls.json"  # assets.extra is where a SavedModel keeps what no operation reads
LABELS_NAME = "labels.txt"
SERVING, BYTES, CLASSIFY = "serving_default", "serving_bytes", "classify"
IMAGES, ENCODED, SCORES, CLASSES = "images", "image_bytes", "scores", "classes"  # what signatures take and give


def version_folder(path: Path) -> Path:
    """The SavedModel itself.

    Raises:
        ArtifactError: there is none.
    """
    folder = path / VERSION
    if not (folder / GRAPH_NAME).is_file():
        raise ArtifactError(
            f"a SavedModel in {VERSION}/", f"{path} without {VERSION}/{GRAPH_NAME}", "copy the whole folder, or convert it again"
        )
    return folder
