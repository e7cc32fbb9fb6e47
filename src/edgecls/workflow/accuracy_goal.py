"""What `--mixed-precision` goes by: the drop of an int8 TFLite model on the user's images, measured as `bench` measures accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecls.data import open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import DataError, SchemeError
from edgecls.evaluation.measured_drop import MeasuredDrop, half_of
from edgecls.quantization.accuracy_goal import HALVES, AccuracyGoal, parse_goal
from edgecls.records.event import Event, OnEvent
from edgecls.records.metadata import ArtifactMetadata


def check_goal(text: str | None, data: Path | None, keep_float: Sequence[str]) -> None:
    """Refuse a goal that cannot be followed, before any work.

    Raises:
        SchemeError: no goal, no images to measure it on, or layers named beside it.
    """
    if text is None:
        return
    parse_goal(text)
    if keep_float:
        raise SchemeError(
            "--keep-float or --mixed-precision", "both", "name the layers yourself, or let the goal choose: leave one out"
        )
    if data is None:
        raise SchemeError("images to measure the drop on with --mixed-precision", "no --data", "name some with --data PATH")


def accuracy_goal(
    text: str | None,
    data: Path | None,
    record: ArtifactMetadata,
    folder: Path,
    threads: int,
    on_event: OnEvent,
) -> AccuracyGoal | None:
    """Goal and measure of `drop<=0.5` on images, every second of which chooses while the others judge; None without a goal.

    Args:
        folder: where models may be written to be measured.
        on_event: told what was measured, for people who wait.

    Raises:
        DataError: too few images to have two halves, or labels that the model's scores cannot be held against.
    """
    if text is None or data is None:
        return None
    images = open_images(data, record.image_spec, role="data", labels=record.labels)
    if len(images) < 2:
        raise DataError("at least two images in --data for --mixed-precision", f"{len(images)}", "give some hundreds")
    require_fitting(images, record.output_kind, record.outputs)
    if images.multi_hot and not all(half_of(images.labels, half).any() for half in HALVES):
        raise DataError("classes on both halves of --data for --mixed-precision", "one half without any", "give more images")
    measure = MeasuredDrop(
        images,
        record,
        folder,
        threads,
        lambda drop, count: on_event(Event(f"--mixed-precision {text}: model {count} drops {drop:.2f} points")),
    )
    halves = len(images) - len(images) // 2, len(images) // 2
    of = "mAP" if images.multi_hot else "top-1" if images.labelled else "agreement"
    return AccuracyGoal(parse_goal(text), measure, of, halves)
