"""Multi-hot labels, any number of classes to an image: what scores they can be held against."""

from __future__ import annotations

from edgecls.data.image_set import ImageSet
from edgecls.errors import DataError
from edgecls.records.artifact import OutputKind
from edgecls.records.diagnosis import Decision
from edgecls.records.multilabel import THRESHOLD


def answer_apart(kind: OutputKind, outputs: int) -> bool:
    """Whether each score answers for a class of its own, as sigmoids do, so that several classes can be true of an image, or none."""
    return kind == "sigmoid" and outputs > 1


def threshold_of(kind: OutputKind) -> float:
    """What a score that stands for itself has to reach to say yes: half a probability, or the logit of that."""
    return 0.0 if kind == "logits" else THRESHOLD


def decision_of(kind: OutputKind, outputs: int) -> Decision:
    """What scores decide of an image."""
    return "set of classes" if answer_apart(kind, outputs) else "winner"


def require_fitting(images: ImageSet, kind: OutputKind, outputs: int) -> None:
    """Refuse multi-hot labels where the scores are of classes that exclude each other.

    Raises:
        DataError: they are.
    """
    if not images.multi_hot or answer_apart(kind, outputs):
        return
    scores = {"logits": "logits, which may be of either kind"}.get(kind, "those of a softmax" if outputs > 1 else "a single one")
    remedy = (
        "end the model with a sigmoid (`edgecls convert --add-sigmoid`)"
        if kind == "logits" and outputs > 1
        else "give one-hot rows"
    )
    raise DataError(
        f"one label for each image of {images.path}, since the scores are {scores}",
        "multi-hot rows, with several labels or none",
        remedy,
    )
