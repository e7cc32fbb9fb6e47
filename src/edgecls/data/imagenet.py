"""The names of ImageNet's 1,000 classes, in the order of keras.applications, PyTorch's torchvision and nearly every other network.

They are those of `keras.applications.imagenet_utils.decode_predictions`, with spaces for underscores: `imagenet_labels.txt` was
written from its imagenet_class_index.json, whose MD5 is the one that Keras checks it by (c2c37ea517e94d9795004a39431a14cb).
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

IMAGENET = "imagenet"  # what `--labels` takes for them
CLASSES = 1000


def are_imagenet(labels: Path) -> bool:
    """Whether they are the names that come with the package, and no file of that name."""
    return str(labels) == IMAGENET and not labels.is_file()


def imagenet_labels() -> list[str]:
    """The 1,000 names; two pairs of classes share one (crane, maillot)."""
    text = resources.files("edgecls.data").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return text.splitlines()
