"""The labelled images that `compress` and `optimize` train and judge on, opened through the image contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecls.data import open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.data.parts import parts_of, require_same_classes
from edgecls.errors import DataError
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Training
from edgecls.training.images import MOST_HELD_OUT, TrainingImages

if TYPE_CHECKING:
    from edgecls.models import LoadedModel


def open_labelled_images(
    data: Path, spec: ImageSpec, loaded: LoadedModel, labels: Sequence[str], training: Training
) -> TrainingImages:
    """Open what is trained on and what is held out: the data's own `val` part, or else a share of the training images.

    Raises:
        DataError: no labels, labels that do not fit the model's scores, a single class, too few images, or parts of other classes.
    """
    images = open_images(data, spec, role="training", labels=labels, limit=training.limit, seed=training.seed)
    require_fitting(images, loaded.output_kind, loaded.outputs)
    if "validation" not in parts_of(data):
        return TrainingImages(images, spec, loaded.outputs, training)
    names = images.class_names or labels  # by which this part is told, also where it lacks a class or the model knows no names
    try:
        own = open_images(data, spec, role="validation", labels=names, limit=MOST_HELD_OUT, seed=training.seed)
    except DataError as error:
        remedy = "mend that part, or take it out: a share of the training images is then held out"
        raise DataError(error.expected, error.found, remedy) from None
    require_same_classes(images, own)
    require_fitting(own, loaded.output_kind, loaded.outputs)
    return TrainingImages(images, spec, loaded.outputs, training, own)


def notes_on(images: TrainingImages) -> list[str]:
    """What a person should know of where the images come from."""
    trained, held_out = images.trained.source, images.held_out.source
    notes = [f"training images: {trained.note}"] if trained.note else []
    if images.set_apart:
        place = (
            f"{counted(len(images.held_out), 'image')} of the part that the data have for it, no share (--held-out) of the others"
        )
        notes.append(f"held out: {place}" + (f"; {held_out.note}" if held_out.note else ""))
    return notes


def facts_on(images: TrainingImages) -> tuple[str, ...]:
    """What results depend on beside the data themselves: which of them are held out."""
    return ("held out: a part of their own",) if images.set_apart else ()
