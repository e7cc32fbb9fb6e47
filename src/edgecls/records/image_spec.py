"""ImageSpec: what an image must look like to enter a model. Declared once, written into every artifact."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from edgecls.errors import InputError
from edgecls.records.record import Record

Layout = Literal["HWC", "CHW", "HW", "flat"]
ColorOrder = Literal["RGB", "BGR", "GRAY", "OTHER"]
Provenance = Literal["in-model", "declared", "assumed", "fitted"]
Fit = Literal["squeeze", "crop", "pad"]
Filter = Literal["nearest", "bilinear", "bilinear-antialiased", "bicubic", "lanczos"]
PixelValue = Annotated[int, Field(ge=0, le=255)]

PREPROCESS_CHOICES: dict[str, tuple[ColorOrder, tuple[float, ...], tuple[float, ...]]] = {
    # name: channel order, mean, std in pixel units (0..255): model input = (pixel - mean) / std
    "0..255": ("RGB", (0.0,), (1.0,)),
    "0..1": ("RGB", (0.0,), (255.0,)),
    "-1..1": ("RGB", (127.5,), (127.5,)),
    "imagenet-torch": ("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "imagenet-caffe": ("BGR", (103.939, 116.779, 123.68), (1.0,)),
}
_RESIZING = ("fit", "crop_share", "pad_color", "filter", "fit_provenance", "filter_provenance")
_ORDERED = re.compile(r"(.*?)\s*[;,]\s*order\s*=\s*(RGB|BGR)\s*", re.IGNORECASE)  # (preprocessing, order) of `0..1,order=BGR`
_CUSTOM = re.compile(r"\s*(scale|mean|std)\s*=\s*([^=]+?)\s*(?:[;,]\s*(?=scale|mean|std)|$)")


class ImageSpec(Record):
    """The image a model takes: size, how pictures of other sizes become it, tensor layout and preprocessing.

    A pixel p (0..255, channels in `color_order`) enters the model as `(p - mean) / std`. `mean` and `std` hold one value for all
    channels or one per channel, the convention of TFLite Metadata's NormalizationOptions. Every rule: docs/image-contract.md.

    Attributes:
        height, width: pixels.
        channels: 1 (grey), 3 (colour) or another number (no image files, arrays alone).
        layout: axes of the model's input tensor behind the batch: `HWC`, `CHW`, `HW` (no channel axis) or `flat` (H*W*C
            values).
        color_order: order of the channels the model was trained with.
        provenance: where the preprocessing comes from: layers inside the model (pixels enter as they are), the user's declaration,
            an assumption that is said aloud, or a fit on labelled images.
        note: one sentence for people on why it is so.
        fit: how a picture of another aspect becomes height x width: `squeeze` (all of it, whatever its aspect), `crop` (a centred
            part) or `pad` (all of it, its aspect kept, beside it `pad_color`).
        crop_share: with `crop`, the share of the short side that is kept, 0..1; None for the largest part of the model's aspect.
        pad_color: RGB, 0..255.
        filter: how it is resampled.
        fit_provenance, filter_provenance: as `provenance`, of these two.
    """

    model_config = ConfigDict(frozen=True)

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    channels: int = Field(gt=0)
    layout: Layout = "HWC"
    color_order: ColorOrder = "RGB"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    provenance: Provenance = "assumed"
    note: str = ""
    fit: Fit = "squeeze"
    crop_share: float | None = Field(default=None, gt=0, le=1)
    pad_color: tuple[PixelValue, PixelValue, PixelValue] = (0, 0, 0)
    filter: Filter = "bilinear-antialiased"
    fit_provenance: Provenance = "assumed"
    filter_provenance: Provenance = "assumed"

    @model_validator(mode="after")
    def _check(self) -> ImageSpec:
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ValueError(f"{name} has {len(getattr(self, name))} values, expected 1 or {self.channels}")
        if any(value == 0 for value in self.std):
            raise ValueError("std must not be 0")
        if self.crop_share is not None and self.fit != "crop":
            raise ValueError(f"crop_share without the fit crop, but {self.fit}")
        if self.pad_color != (0, 0, 0) and self.fit != "pad":
            raise ValueError(f"pad_color without the fit pad, but {self.fit}")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input, batch axis apart."""
        shapes = {
            "HWC": (self.height, self.width, self.channels),
            "CHW": (self.channels, self.height, self.width),
            "HW": (self.height, self.width),
            "flat": (self.height * self.width * self.channels,),
        }
        return shapes[self.layout]

    @property
    def pad_values(self) -> tuple[int, ...]:
        """What stands in each channel beside a padded picture: the pad colour, or its luma where the model takes no colours."""
        return self.pad_color if self.channels == 3 else (luma(*self.pad_color),)

    @property
    def input_range(self) -> tuple[float, float]:
        """Least and greatest model input that pixels from 0 to 255 become, over all channels."""
        ends = (np.array([[0.0], [255.0]]) - np.array(self.mean)) / np.array(self.std)
        return float(ends.min()), float(ends.max())

    def apply(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Turn pixels [N, H, W, C], RGB or grey, 0..255 (any dtype) into model input [N, *input_shape], float32.

        `out`, if given, is a contiguous float32 array of that shape to write to; it is what comes back.
        """
        values = pixels[..., ::-1] if self.color_order == "BGR" else np.asarray(pixels)
        result = np.empty((len(values), *self.input_shape), np.float32) if out is None else out
        target = self._as_images(result)  # a view: `result` is contiguous
        target[...] = values.reshape(target.shape)  # float32 from here on, whatever the pixels are
        if self.mean != (0.0,) or self.std != (1.0,):
            lines = target if self.layout == "CHW" else result.reshape(-1, self.width * self.channels)
            np.subtract(lines, self._along(lines, self.mean), out=lines)
            np.divide(lines, self._along(lines, self.std), out=lines)
        return result

    def invert(self, inputs: np.ndarray) -> np.ndarray:
        """Turn model input [N, *input_shape] back into pixels [N, H, W, C], float32, not rounded, so that `apply` undoes it."""
        values = self._as_images(np.asarray(inputs, np.float32))
        values = values * np.asarray(self.std, np.float32) + np.asarray(self.mean, np.float32)
        return values[..., ::-1] if self.color_order == "BGR" else values

    def _as_images(self, inputs: np.ndarray) -> np.ndarray:
        """Model inputs [N, *input_shape] as [N, H, W, C], a view of contiguous ones."""
        if self.layout == "CHW":
            return inputs.transpose(0, 2, 3, 1)
        return inputs.reshape(len(inputs), self.height, self.width, self.channels)

    @staticmethod
    def _along(lines: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
        """One value, or one of each channel, as they stand along the last axis: three at a time would take six times as long."""
        return np.asarray(values, np.float32) if len(values) == 1 else np.resize(np.asarray(values, np.float32), lines.shape[-1])

    @property
    def resizing(self) -> dict[str, Any]:
        """All that decides which pixels a picture becomes: size, channels, fit and filter."""
        return self.model_dump(include={"height", "width", "channels", "fit", "crop_share", "pad_color", "filter"})

    @property
    def fit_choice(self) -> str:
        """The fit as `--fit` takes it."""
        if self.fit == "pad" and self.pad_color != (0, 0, 0):
            return "pad=" + ",".join(map(str, self.pad_color))
        return self.fit if self.crop_share is None else f"crop={self.crop_share!r}"

    @property
    def resizing_words(self) -> str:
        """Fit and filter and where they come from, for people."""
        return f"fit {self.fit_choice} ({self.fit_provenance}), filter {self.filter} ({self.filter_provenance})"

    @property
    def resizing_note(self) -> str:
        """What of fit and filter is assumed and `note` does not tell, in a sentence; empty where nothing is."""
        assumed = [f"fit {self.fit_choice}"] if self.fit_provenance == "assumed" else []
        assumed += [f"filter {self.filter}"] if self.filter_provenance == "assumed" else []
        assumed = [choice for choice in assumed if not re.search(rf"{re.escape(choice)}(?![\w=-])", self.note)]
        if not assumed:
            return ""
        options = " and ".join(f"--{choice.split()[0]}" for choice in assumed)
        return f"Assumed {' and '.join(assumed)}: no model file says how pictures become its size; say it with {options}."

    def with_resizing_of(self, other: ImageSpec) -> ImageSpec:
        """This spec with fit and filter of another."""
        return self.model_copy(update={name: getattr(other, name) for name in _RESIZING})

    def with_choices(
        self,
        preprocess: str | None = None,
        fit: str | None = None,
        filter: str | None = None,
        provenance: Provenance = "declared",
    ) -> ImageSpec:
        """This spec with what `--preprocess`, `--fit` and `--filter` say, as far as they are given.

        Raises:
            InputError: one of them is no choice.
        """
        spec = self.with_preprocess(preprocess, provenance) if preprocess else self
        spec = spec.with_fit(fit, provenance) if fit is not None else spec
        return spec.with_filter(filter, provenance) if filter is not None else spec

    def with_fit(self, fit: str, provenance: Provenance = "declared") -> ImageSpec:
        """This spec with another fit.

        Args:
            fit: `squeeze`, `crop`, `crop=SHARE`, `pad` or `pad=R,G,B`.

        Raises:
            InputError: it is none of them.
        """
        kind, _, value = fit.partition("=")
        update: dict[str, Any] = {"fit": kind, "crop_share": None, "pad_color": (0, 0, 0), "fit_provenance": provenance}
        try:
            if kind not in get_args(Fit) or (kind == "squeeze" and "=" in fit):
                raise ValueError(fit)
            if "=" in fit:
                name, read = ("crop_share", float) if kind == "crop" else ("pad_color", _whole_numbers)
                update[name] = read(value)
            return ImageSpec.model_validate({**self.model_dump(), **update})
        except ValueError:
            raise InputError(
                "--fit squeeze, crop, crop=SHARE (above 0, at most 1), pad or pad=R,G,B (each 0 to 255)",
                f"--fit {fit!r}",
                "write as --fit crop=0.875 or --fit pad=114,114,114",
            ) from None

    def with_filter(self, filter: str, provenance: Provenance = "declared") -> ImageSpec:
        """This spec with another filter.

        Raises:
            InputError: there is none of that name.
        """
        if filter not in get_args(Filter):
            raise InputError(f"--filter among {', '.join(get_args(Filter))}", f"--filter {filter!r}", "choose one of them")
        return self.model_copy(update={"filter": filter, "filter_provenance": provenance})

    def with_preprocess(self, preprocess: str, provenance: Provenance = "declared") -> ImageSpec:
        """This spec with the preprocessing that `preprocess` names.

        Args:
            preprocess: a key of PREPROCESS_CHOICES, or `scale=S,mean=M,std=D` (each one number or three divided by spaces; fractions
                such as 1/255 allowed): model input = (pixel * scale - mean) / std. Behind either `,order=BGR`, or RGB, where the
                channels of a colour image have this order; numbers are theirs in this order.

        Raises:
            InputError: `preprocess` is neither, or orders the channels of a model that takes no colour images.
        """
        ordered = _ORDERED.fullmatch(preprocess)
        numbers = ordered[1].strip() if ordered else preprocess
        order, mean, std = PREPROCESS_CHOICES.get(numbers) or ("RGB", *_parse_custom(numbers, preprocess))
        if ordered:
            order = "BGR" if ordered[2].upper() == "BGR" else "RGB"
            if self.channels != 3:
                raise InputError(
                    f"preprocessing for {self.channels} channel(s)", f"--preprocess {preprocess!r}", "leave its order out"
                )
        if any(len(values) not in (1, self.channels) for values in (mean, std)):
            raise InputError(
                f"preprocessing for {self.channels} channel(s)",
                f"--preprocess {preprocess!r}, which has {max(len(mean), len(std))} values",
                "give one value, or one per channel",
            )
        color_order: ColorOrder = order if self.channels == 3 else "GRAY" if self.channels == 1 else "OTHER"
        update = {
            "mean": mean,
            "std": std,
            "color_order": color_order,
            "provenance": provenance,
            "note": f"--preprocess {preprocess}",
        }
        return ImageSpec.model_validate({**self.model_dump(), **update})

    @property
    def preprocess(self) -> str:
        """What `with_preprocess` takes to give this mean, std and colour order: a name or `mean=M,std=D` in pixels, and the order."""
        mean, std = (" ".join(map(repr, values)) for values in (self.mean, self.std))
        text, usual = f"mean={mean},std={std}", "RGB"
        for name, (order, *numbers) in PREPROCESS_CHOICES.items():
            if [self.mean, self.std] == numbers:
                text, usual = name, order
        return text if self.channels != 3 or self.color_order == usual else f"{text},order={self.color_order}"

    @property
    def with_turned_channels(self) -> ImageSpec:
        """This spec of colour images with red and blue exchanged as they enter; the numbers stay where they are."""
        return self.model_copy(update={"color_order": "RGB" if self.color_order == "BGR" else "BGR"})


def _whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def luma(red: Any, green: Any, blue: Any) -> Any:
    """Grey of a colour, 0..255: ITU-R 601 in the fixed point of Pillow's convert("L"). Integers or arrays of at least 32 bits."""
    return (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16


def _parse_custom(text: str, given: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read `scale=1/255,mean=0.5,std=0.5` into (mean, std) in pixel units; `given` is what it is a part of."""
    parts = dict(_CUSTOM.findall(text))
    try:
        if not parts or _CUSTOM.sub("", text).strip():
            raise ValueError(text)
        values = {name: tuple(_number(item) for item in body.split()) for name, body in parts.items()}
        scale = values.get("scale", (1.0,))
        mean, std = np.broadcast_arrays(values.get("mean", (0.0,)), values.get("std", (1.0,)), scale)[:2]
        scale_array = np.broadcast_to(scale, mean.shape)
        if not (np.all(np.isfinite(scale_array)) and np.all(scale_array) and np.all(std)):
            raise ValueError(text)
        return tuple(float(value) for value in mean / scale_array), tuple(float(value) for value in std / scale_array)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"one of {', '.join(PREPROCESS_CHOICES)}, or scale=S,mean=M,std=D, the numbers of several channels divided by spaces; "
            "behind either ,order=BGR where blue enters first",
            f"--preprocess {given!r}",
            "write as --preprocess=-1..1, --preprocess 0..1,order=BGR or --preprocess 'scale=1/255,mean=0.5 0.5 0.5,std=0.5'",
        ) from None


def _number(text: str) -> float:
    numerator, _, denominator = text.partition("/")
    return float(numerator) / float(denominator or 1)
