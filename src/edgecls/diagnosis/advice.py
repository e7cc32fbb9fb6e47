"""Advice: what to do about what a diagnosis found, worst cause first.

The limits, and where they come from. A calibration set is too small when its two halves give one layer in four ranges (of the middle 99.9
% of the values) more than a tenth apart: of CIFAR-10 images in ResNet-8 up to 20 do, 50 and more do not; where every layer ends in a
ReLU6, as in MobileNetV1, even few are enough. Extremes would not tell: they widen with every image. It is unlike the images of the
diagnosis when in one layer in four more than one value in ten thousand lies outside anything it showed: of as many images of one kind,
fewer than one in a hundred thousand do. A range that the middle 99.9 % of the values use less than half of costs a bit of eight. A layer
stands out when it adds 6 dB (four times the error energy) more than the median layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from edgecls.diagnosis.sensitivity import Sensitivity
from edgecls.records.diagnosis import Advice, LayerDiagnosis

MANY_LAYERS = 0.25
SPREAD, BEYOND, CLIPPED, LEAST_USED = 0.1, 1e-4, 1e-3, 0.5
STANDS_OUT_DB = 6.0
GOOD_AGREEMENT = 0.99
MOST_LAYERS = 4


@dataclass(frozen=True)
class Circumstances:
    """What advice depends on beside the measurement.

    Attributes:
        scheme: of the artifact.
        estimator: of its ranges; None where it has none.
        calibration_images: as many as it was calibrated on.
        command: writes the command that converts again with more arguments; the first `{}` of its text are those arguments.
        compress: the command that trains on with quantization.
        show: short name of a layer, that `--keep-float` takes.
    """

    scheme: str
    estimator: str | None
    calibration_images: int
    command: Callable[[str], str]
    compress: str
    show: Callable[[str], str]


def advise(found: Sensitivity, given: Circumstances) -> list[Advice]:
    """What follows from a diagnosis; never empty."""
    layers = [layer for layer in found.layers if layer.own_snr_db is not None]
    steps = [*_calibration(found.layers, given), *_estimator(layers, given), *_keep_float(layers, given)]
    if found.agreement < GOOD_AGREEMENT:
        steps += _until_good(found, given)
    return steps or [
        Advice(kind="nothing", text=f"The {found.decision} is the same on {found.agreement:.1%} of the images: nothing to do.")
    ]


def _calibration(layers: Sequence[LayerDiagnosis], given: Circumstances) -> list[Advice]:
    known = [layer for layer in layers if layer.calibration_spread is not None and layer.range is not None]
    if not known:
        return []
    uncertain = [layer for layer in known if (layer.calibration_spread or 0) > SPREAD]
    beyond = [layer for layer in known if (layer.beyond_calibration or 0) > BEYOND]
    count = given.calibration_images
    steps = []
    if len(beyond) >= MANY_LAYERS * len(known):
        worst = max(beyond, key=lambda layer: layer.beyond_calibration or 0)
        text = (
            f"The calibration images are unlike these: in {len(beyond)} of {len(known)} layers values lie outside all that was seen there "
            f"({worst.beyond_calibration:.2%} in {given.show(worst.name)}). Calibrate on images like those the model will meet."
        )
        steps.append(Advice(kind="other_calibration", text=text, command=given.command("--calibration PATH")))
    if len(uncertain) >= MANY_LAYERS * len(known):
        text = (
            f"The calibration set is small: the two halves of its {count} images give {len(uncertain)} of {len(known)} layers ranges more "
            f"than {SPREAD:.0%} apart. Give more images."
        )
        command = given.command(f"--calibration-images {4 * count}")
        steps.append(Advice(kind="more_calibration", text=text, command=command))
    return steps


def _estimator(layers: Sequence[LayerDiagnosis], given: Circumstances) -> list[Advice]:
    ranged = [layer for layer in layers if layer.range is not None and layer.cause == "range" and layer.operation != "input"]
    clipped = [layer for layer in ranged if layer.range and layer.range.clipped > CLIPPED]
    wide = [layer for layer in ranged if layer.range and layer.range.used < LEAST_USED]
    if clipped and given.estimator in ("percentile", "mse"):
        worst = max(clipped, key=lambda layer: layer.range.clipped if layer.range else 0)
        share = worst.range.clipped if worst.range else 0
        text = f"{given.estimator} ranges cut off {share:.2%} of the values of {given.show(worst.name)}; minmax cuts off none."
        return [Advice(kind="estimator", text=text, command=given.command("--estimator minmax"))]
    if wide and given.estimator == "minmax":
        worst = min(wide, key=lambda layer: layer.range.used if layer.range else 1)
        used = worst.range.used if worst.range else 1
        text = (
            f"Outliers stretch the ranges of {len(wide)} layers: 99.9 % of the values of {given.show(worst.name)} use {used:.0%} of its "
            "range. Another estimator cuts them off where that loses less."
        )
        return [Advice(kind="estimator", text=text, command=given.command("--estimator mse"))]
    return []


def _keep_float(layers: Sequence[LayerDiagnosis], given: Circumstances) -> list[Advice]:
    integer = [layer for layer in layers if not layer.computes_float and layer.operation != "input"]
    if given.scheme != "int8" or len(integer) < 2:
        return []
    limit = median(layer.own_snr_db or 0 for layer in integer) - STANDS_OUT_DB
    worst = [layer for layer in integer if (layer.own_snr_db or 0) < limit][:MOST_LAYERS]
    if not worst:
        return []
    # What a range costs is gone only where the tensor is never rounded: those that read it have to take it as it is.
    names = {name for layer in worst for name in (layer.name, *(layer.readers if layer.cause == "range" else ()))}
    names &= {layer.name for layer in integer}  # those that compute in float anyway need not be named
    shown = ", ".join(f"{given.show(layer.name)} ({layer.own_snr_db:.0f} dB, {layer.cause})" for layer in worst)
    arguments = " ".join(f"--keep-float {given.show(name)}" for name in sorted(names, key=given.show))
    readers = " with those that read them" if any(layer.cause == "range" for layer in worst) else ""
    text = f"Keep the layers that stand out float{readers}: {shown}."
    return [Advice(kind="keep_float", text=text, command=given.command(arguments))]


def _until_good(found: Sensitivity, given: Circumstances) -> list[Advice]:
    steps = []
    if given.scheme == "int8":
        text = f"The {found.decision} is the same on {found.agreement:.1%} of the images. Let convert find which layers have to stay float."
        steps.append(
            Advice(kind="mixed_precision", text=text, command=given.command("--mixed-precision 'drop<=0.5' --data PATH"))
        )
    text = "Quantization-aware training lets the weights adapt to int8; it needs labelled images."
    return [*steps, Advice(kind="qat", text=text, command=given.compress)]
