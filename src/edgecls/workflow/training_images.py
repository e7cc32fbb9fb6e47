"""The images of a training: opened, decoded once through the image contract, looked through for what would spoil it, and divided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data import ImageSet, open_images
from edgecls.data.label_file import default_labels, read_all_labels
from edgecls.data.parts import parts_of, require_same_classes
from edgecls.data.same_pictures import looks_of, same_pictures, same_within
from edgecls.data.source import Role
from edgecls.errors import DataError
from edgecls.records.counted import counted
from edgecls.records.event import Event, OnEvent
from edgecls.records.image_spec import ImageSpec
from edgecls.records.training import Part, TrainingPlan
from edgecls.training.images import split
from edgecls.training.part import Images

_SHOWN = 5  # names in a line
_KEPT = 20  # names of files that are damaged
_PLACES: dict[str, Role] = {"training": "training", "held-out": "validation", "test": "data"}


@dataclass(frozen=True)
class TrainingParts:
    """What a training has to work on: `parts` by name, the names of the classes, and what a person should know of the data."""

    parts: dict[str, Images]
    labels: list[str]
    notes: list[str]

    @property
    def counted(self) -> dict[str, Part]:
        """How many images of which classes each part has."""
        return {name: _counted(images, self.labels) for name, images in self.parts.items()}


def open_parts(data: Path, spec: ImageSpec, plan: TrainingPlan, label_file: Path | None, on_event: OnEvent) -> TrainingParts:
    """Open, decode and check all images; nothing is trained on before.

    Raises:
        DataError: no labels, classes that do not match, classes of fewer than two images, or images most of which are damaged.
    """
    own = parts_of(data)
    sources = {"training": open_images(data, spec, role="training", labels=read_all_labels(label_file) if label_file else None)}
    _require_labels(sources["training"])
    known = sources["training"].labels
    assert known is not None
    labels = _names(sources["training"], known, label_file)
    for name, role in _PLACES.items():
        if role in own and name != "training":
            sources[name] = open_images(data, spec, role=role, labels=sources["training"].class_names or labels)
            require_same_classes(sources["training"], sources[name])
    for name, source in sources.items():
        _require_labels(source)
        source.decode(_progress(on_event, name))
    opened = {name: Images.all_of(source) for name, source in sources.items()}
    _require_images(opened["training"], labels)
    notes = [note for name, source in sources.items() for note in _about_skipped(name, source)]
    parts = opened if "held-out" in opened else _divided(opened, plan)
    on_event(Event("looking for the same picture in several parts"))
    parts, more = _without_doubles(parts, labels, keep=plan.keep_duplicates)
    _require_parts(parts, plan)
    return TrainingParts(parts, labels, notes + more)


def _names(source: ImageSet, known: np.ndarray, label_file: Path | None) -> list[str]:
    if label_file:
        return read_all_labels(label_file)
    return list(source.class_names) or default_labels(known.shape[1] if known.ndim == 2 else int(known.max()) + 1)


def _require_labels(source: ImageSet) -> None:
    if not source.labelled:
        raise DataError(
            "images with labels that match",
            f"{source.path}: {source.decode().note}",
            "give class folders (with the same names in train, val and test), an .npz with y, or a CSV of file and label",
        )


def _progress(on_event: OnEvent, name: str) -> Callable[[int, int], None]:
    return lambda done, total: on_event(Event("decoding", f"{name} images", done, total))


def _require_images(images: Images, labels: Sequence[str]) -> None:
    counts = _counted(images, labels).classes
    few = [f"{label} ({count})" for label, count in counts.items() if count < 2]
    if few:
        raise DataError(
            "at least two images of every class, to train on one and hold one out",
            f"{_listed(few)} in {images.source.path}",
            "add images of them, or take the class out",
        )
    if len(labels) < 2:
        raise DataError("images of at least two classes", f"{images.source.path}, all of {labels[0]}", "add images of others")


def _divided(opened: dict[str, Images], plan: TrainingPlan) -> dict[str, Images]:
    """With a share of the training images held out, of each class its own."""
    whole = opened["training"]
    trained, held_out = split(whole.labels, plan.held_out, plan.seed)
    parts = {name: Images(whole.source, chosen, whole.labels) for name, chosen in (("training", trained), ("held-out", held_out))}
    return parts | {name: images for name, images in opened.items() if name == "test"}


def _without_doubles(parts: dict[str, Images], labels: Sequence[str], *, keep: bool) -> tuple[dict[str, Images], list[str]]:
    """What is judged on must not have been trained on: pictures that are in another part as well leave the training, unless `keep`."""
    looks, notes = {}, []
    for images in parts.values():
        if id(images.source) not in looks:
            looks[id(images.source)] = looks_of(images.pixels)
    notes += _about_contradictions(parts["training"], looks[id(parts["training"].source)].of(parts["training"].chosen), labels)
    for name, images in parts.items():
        trained = parts["training"]
        if name == "training":
            continue
        mine, other = (looks[id(part.source)].of(part.chosen) for part in (trained, images))
        pairs = same_pictures(mine, other)
        if not len(pairs):
            continue
        doubles, places = np.unique(pairs[:, 0], return_index=True)  # one of the other part's pictures tells for each
        shown = [f"{_name(trained, first)} = {_name(images, second)}" for first, second in pairs[places]]
        what = "kept, though scores are too good for it" if keep else "left out of the training (--keep-duplicates keeps them)"
        notes.append(f"{counted(len(doubles), 'training image')} also among the {name} ones, {what}: {_listed(shown)}")
        if not keep:
            kept = np.delete(trained.chosen, doubles)
            parts = {**parts, "training": Images(trained.source, kept, trained.labels)}
    return parts, notes


def _about_contradictions(images: Images, looks, labels: Sequence[str]) -> list[str]:
    """Training pictures that are there twice under different labels."""
    mine = images.own_labels
    pairs = [(first, second) for first, second in same_within(looks) if not np.array_equal(mine[first], mine[second])]
    if not pairs:
        return []
    shown = [f"{_name(images, first)} = {_name(images, second)}" for first, second in pairs]
    return [f"{counted(len(pairs), 'picture')} with different labels: {_listed(shown)}"]


def _require_parts(parts: dict[str, Images], plan: TrainingPlan) -> None:
    count = len(parts["training"])
    if count < plan.batch:
        raise DataError(
            f"at least one batch of {plan.batch} images to train on",
            f"{count} ({len(parts['held-out'])} are held out)",
            f"add images, or take a smaller batch: --batch {max(1, count // 2)}",
        )
    held_out = parts["held-out"]
    if held_out.labels.ndim == 2 and not held_out.own_labels.any():
        own_part = held_out.source is not parts["training"].source  # which no share is taken for
        raise DataError(
            "held-out images of which one has a class, to judge on",
            f"{len(held_out)} of {held_out.source.path} without",
            "add such images to it" if own_part else "hold more out: --held-out 0.4, or give more images",
        )


def _about_skipped(name: str, source: ImageSet) -> list[str]:
    if not source.skipped:
        return []
    each = [f"{Path(item.path).parent.name}/{Path(item.path).name} ({item.reason})" for item in source.skipped]
    return [f"{counted(len(each), 'file')} of the {name} images left out: {_listed(each, _KEPT)}"]


def _name(images: Images, place: int) -> str:
    index = int(images.chosen[place])
    return images.source.name(index) or f"number {index}"


def _listed(names: Sequence[str], most: int = _SHOWN) -> str:
    return ", ".join(names[:most]) + (f", and {len(names) - most} more" if len(names) > most else "")


def _counted(images: Images, labels: Sequence[str]) -> Part:
    mine = images.own_labels
    counts = mine.sum(axis=0) if mine.ndim == 2 else np.bincount(mine, minlength=len(labels))
    classes = {label: int(count) for label, count in zip(labels, counts, strict=False)}
    return Part(where_from=images.source.note, images=len(mine), classes=classes)
