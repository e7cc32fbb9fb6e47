"""What `--model` names: a network of our own, one of `keras.applications`, or any classifier file as a base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecls.errors import InputError, OpenSizeError, UnsupportedModelError
from edgecls.formats import sha256
from edgecls.records.image_spec import ImageSpec
from edgecls.records.training import SCRATCH, TrainingPlan
from edgecls.training.applications import IMAGENET, find_application
from edgecls.training.networks import Body, cnn, resnet
from edgecls.training.prepared import prepared, rgb_order, take_rgb

_OWN: dict[str, Callable[[Any], Body]] = {"cnn": cnn, "resnet": resnet}
_KINDS = f"{', '.join(SCRATCH)}, a name of keras.applications (as MobileNetV2), or the file of a classifier"


@dataclass(frozen=True)
class ChosenBody:
    """A body that is not built yet.

    Attributes:
        build: makes it of pixels [N, H, W, C], 0..255.
        spec: what the images of a base are; None of networks that take any.
        size: of the images where nothing says another; None of networks that take any.
        fact: what it depends on, as text.
        has_weights: whether its layers come with weights.
        notes: what a person should know of it.
    """

    build: Callable[[Any], Body]
    spec: ImageSpec | None = None
    size: tuple[int, int] | None = None
    fact: str = ""
    has_weights: bool = False
    notes: list[str] = field(default_factory=list)


def choose_body(plan: TrainingPlan, weights: str | None, preprocess: str | None, *, allow_code: bool = False) -> ChosenBody:
    """What a plan's model is.

    Args:
        weights: of a network of `keras.applications`: `imagenet`, a file, or None for random ones.
        preprocess: of a base, as `ImageSpec.with_preprocess` takes it; None for what is known or assumed of it.

    Raises:
        InputError: no such model, or options that it does not have.
    """
    path = Path(plan.model)
    application = None if plan.model in SCRATCH or path.is_file() or path.is_dir() else find_application(plan.model)
    _refuse_idle(plan, weights, preprocess, base=path.exists() and plan.model not in SCRATCH, application=application is not None)
    if plan.model in SCRATCH:
        return ChosenBody(_OWN[plan.model])
    if application is not None:
        file = Path(weights) if weights not in (None, IMAGENET) else None
        note = f"{application.name} starts from random weights: every layer trains; --weights imagenet or FILE gives others"
        fact = sha256(file) if file else str(weights)
        return ChosenBody(
            lambda pixels: application.body(pixels, weights),
            None,
            (application.size, application.size),
            fact,
            weights is not None,
            [] if weights else [note],
        )
    if not path.exists():
        raise InputError(f"--model {_KINDS}", repr(plan.model), "check the name or the path")
    return _of_file(path, preprocess, allow_code, plan.size)


def _refuse_idle(plan: TrainingPlan, weights: str | None, preprocess: str | None, *, base: bool, application: bool) -> None:
    if weights is not None and not application:
        raise InputError("--weights with a network of keras.applications", f"--model {plan.model}", "leave --weights out")
    if weights not in (None, IMAGENET) and not Path(str(weights)).is_file():
        raise InputError(
            "--weights imagenet or a file", f"nothing at {weights}", "check the path, or leave it out for random weights"
        )
    if preprocess is not None and not base:
        raise InputError(
            "--preprocess with a classifier file as base", f"--model {plan.model}", "leave it out: pixels enter as they are"
        )
    if not plan.fine_tune and (plan.fine_tune_rate is not None or plan.unfreeze != TrainingPlan().unfreeze):
        option = "--unfreeze" if plan.fine_tune_rate is None else "--fine-tune-rate"
        if not base and weights is None:
            raise InputError(f"{option} with a base that has weights", f"--model {plan.model}", f"leave {option} out")
        raise InputError(
            f"--fine-tune together with {option}", "a base that stays frozen", f"add --fine-tune N, or leave {option} out"
        )
    if plan.fine_tune and application and weights is None:
        raise InputError(
            "--fine-tune with a base that has weights", f"{plan.model} from random ones", "add --weights, or raise --epochs"
        )


def _of_file(path: Path, preprocess: str | None, allow_code: bool, size: tuple[int, int] | None) -> ChosenBody:
    from edgecls.models import load_model
    from edgecls.models.flat_base import flat_base, resized

    try:
        loaded = load_model(path, allow_code=allow_code)
    except OpenSizeError as error:
        if size is None:
            raise OpenSizeError(error.expected, error.found, "say which, height before width, as --size 224x224") from None
        loaded = load_model(path, allow_code=allow_code, input_size=f"{size[0]}x{size[1]}")
    spec = loaded.image_spec.with_choices(preprocess)
    if spec.layout != "HWC":
        raise UnsupportedModelError(
            "a base that takes [height, width, channels]", f"{path} of layout {spec.layout}", "give another base"
        )
    base = flat_base(loaded)

    def build(pixels: Any) -> Body:
        features, layers = resized(base, prepared(pixels, *rgb_order(spec)))
        if spec.color_order == "BGR":
            take_rgb(layers)
        return Body(features, layers)

    notes = [f"base {path.name}: {len(base.layers)} layers, its head cut off: {', '.join(base.cut)}"]
    notes += [spec.note] if spec.provenance == "assumed" else []
    return ChosenBody(build, spec, (spec.height, spec.width), loaded.source.sha256, True, notes)
