"""Every layer of both Keras generations that an image classifier can hold: how it is made, or why none can hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgecls.models import Rebuilt, load_model, rebuild
from edgecls.system.extras import require

IMAGE, CLASSES = (8, 8, 3), 4
SHAPES = {"image": (8, 8, 4), "sequence": (16, 4), "vector": (12,), "volume": (4, 4, 4, 2), "frames": (3, 4, 4, 2)}
BOTH, KERAS_2, KERAS_3 = (2, 3), (2,), (3,)


@dataclass(frozen=True)
class Case:
    """One layer in a small classifier.

    Attributes:
        kind: its class.
        on: what it takes, one of SHAPES.
        settings: of its constructor; a callable takes the `layers` module.
        called: how a layer is called on a tensor.
        settings_2: what Keras 2 names otherwise.
    """

    kind: str
    on: str = "image"
    settings: dict[str, Any] = field(default_factory=dict)
    generations: tuple[int, ...] = BOTH
    called: Callable[[Any, Any], Any] = lambda layer, value: layer(value)
    settings_2: dict[str, Any] | None = None
    variant: str = ""

    @property
    def name(self) -> str:
        """As `LeakyReLU`, or `Conv2D same` where there are several of a kind."""
        return f"{self.kind} {self.variant}".strip()


def _pair(layer: Any, value: Any) -> Any:
    return layer([value, value * 0.5])


def _query_value(layer: Any, value: Any) -> Any:
    return layer(value, value)


def _of(kind: str, **settings: Any) -> Callable[[ModuleType], Any]:
    return lambda layers: getattr(layers, kind)(**settings)


def case(kind: str, on: str = "image", generations: tuple[int, ...] = BOTH, **settings: Any) -> Case:
    return Case(kind, on, settings, generations)


def merge(kind: str, **settings: Any) -> Case:
    return Case(kind, "image", settings, called=_pair)


def random(kind: str, generations: tuple[int, ...] = BOTH, **settings: Any) -> Case:
    """An augmentation, on pixels."""
    return Case(kind, "pixels", settings, generations)


CASES = (
    case("Activation", activation="tanh"),
    case("ActivityRegularization", l2=0.1),
    *(case(f"Adaptive{how}Pooling{n}D", on, KERAS_3, output_size=size) for how in ("Average", "Max")
      for n, on, size in ((1, "sequence", 5), (2, "image", (3, 4)), (3, "volume", 2))),
    merge("Add"),
    Case("AdditiveAttention", "sequence", called=_pair),
    case("AlphaDropout", rate=0.3),
    Case("Attention", "sequence", {"use_scale": True}, called=_pair),
    random("AugMix", KERAS_3),
    random("AutoContrast", KERAS_3),
    merge("Average"),
    case("AveragePooling1D", "sequence", pool_size=2),
    case("AveragePooling2D", pool_size=3, padding="same"),
    case("AveragePooling3D", "volume", pool_size=2),
    case("BatchNormalization"),
    case("Bidirectional", "sequence", layer=_of("GRU", units=3)),
    case("CenterCrop", height=5, width=6),
    merge("Concatenate"),
    case("Conv1D", "sequence", filters=3, kernel_size=3, activation="relu"),
    case("Conv1DTranspose", "sequence", filters=3, kernel_size=3, strides=2),
    case("Conv2D", filters=3, kernel_size=3, padding="same", groups=1, activation="relu"),
    Case("Conv2D", settings={"filters": 6, "kernel_size": 3, "groups": 2}, variant="grouped"),
    case("Conv2DTranspose", filters=3, kernel_size=3, strides=2, padding="same"),
    case("Conv3D", "volume", filters=3, kernel_size=2),
    case("Conv3DTranspose", "volume", filters=3, kernel_size=2),
    case("ConvLSTM1D", "frames_of_rows", filters=2, kernel_size=3),
    case("ConvLSTM2D", "frames", filters=2, kernel_size=3),
    case("ConvLSTM3D", "frames_of_volumes", filters=2, kernel_size=2),
    case("Cropping1D", "sequence", cropping=(1, 2)),
    case("Cropping2D", cropping=((1, 2), (0, 1))),
    case("Cropping3D", "volume", cropping=1),
    random("ContrastLimitedAdaptiveHistogramEqualization", KERAS_3),
    random("CutMix", KERAS_3),
    case("Dense", "vector", units=5, activation="gelu"),
    case("DepthwiseConv1D", "sequence", kernel_size=3),
    case("DepthwiseConv2D", kernel_size=3, depth_multiplier=2),
    case("Discretization", bin_boundaries=[-0.5, 0.0, 0.5]),
    Case("Dot", "sequence", {"axes": 2}, called=_pair),
    case("Dropout", rate=0.3),
    case("ELU", alpha=0.7),
    case("EinsumDense", equation="abci,ij->abcj", output_shape=(8, 8, 5), bias_axes="j"),
    random("Equalization", KERAS_3),
    case("Flatten"),
    case("GRU", "sequence", units=3),
    case("GaussianDropout", rate=0.3),
    case("GaussianNoise", stddev=0.3),
    case("GlobalAveragePooling1D", "sequence"),
    case("GlobalAveragePooling2D", keepdims=True),
    case("GlobalAveragePooling3D", "volume"),
    case("GlobalMaxPooling1D", "sequence"),
    case("GlobalMaxPooling2D"),
    case("GlobalMaxPooling3D", "volume"),
    case("GroupNormalization", groups=2),
    Case("GroupQueryAttention", "sequence", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, KERAS_3, _query_value),
    case("Identity"),
    case("LSTM", "sequence", units=3),
    case("LayerNormalization"),
    Case("LeakyReLU", settings={"negative_slope": 0.2}, settings_2={"alpha": 0.2}),
    case("LocallyConnected1D", "sequence", KERAS_2, filters=3, kernel_size=3),
    case("LocallyConnected2D", "image", KERAS_2, filters=3, kernel_size=3),
    case("Masking", mask_value=0.0),
    case("MaxPooling1D", "sequence", pool_size=2),
    case("MaxPooling2D", pool_size=3, strides=2),
    case("MaxPooling3D", "volume", pool_size=2),
    merge("Maximum"),
    merge("Minimum"),
    random("MixUp", KERAS_3),
    Case("MultiHeadAttention", "sequence", {"num_heads": 2, "key_dim": 3}, called=_query_value),
    merge("Multiply"),
    case("Normalization", mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0]),
    Case("Normalization", settings={"mean": [0.1, 0.2, 0.3, 0.4], "variance": [1.0, 2.0, 3.0, 4.0], "invert": True}, variant="inverted"),
    case("PReLU", shared_axes=[1, 2]),
    case("Permute", dims=(2, 1, 3)),
    case("Pipeline", "image", KERAS_3, layers=lambda layers: [layers.Rescaling(0.5), layers.RandomFlip()]),
    case("RMSNormalization", "image", KERAS_3),
    case("RNN", "sequence", cell=_of("SimpleRNNCell", units=3)),
    *(random(kind, KERAS_3) for kind in ("RandAugment", "RandomColorJitter", "RandomElasticTransform",
      "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomInvert", "RandomPerspective")),
    random("RandomBrightness", factor=0.2),
    random("RandomContrast", factor=0.2),
    random("RandomCrop", height=5, width=7),
    random("RandomFlip"),
    random("RandomColorDegeneration", KERAS_3, factor=0.4),
    random("RandomHeight", KERAS_2, factor=0.2),
    random("RandomHue", KERAS_3, factor=0.2),
    random("RandomPosterization", KERAS_3, factor=4),
    random("RandomRotation", factor=0.2),
    random("RandomSaturation", KERAS_3, factor=0.4),
    random("RandomSharpness", KERAS_3, factor=0.4),
    random("RandomShear", KERAS_3, x_factor=(0.1, 0.2), y_factor=(0.1, 0.2)),
    random("RandomTranslation", height_factor=0.2, width_factor=0.2),
    random("RandomWidth", KERAS_2, factor=0.2),
    random("RandomZoom", height_factor=0.2),
    case("ReLU", max_value=4.0, negative_slope=0.1, threshold=0.2),
    case("RepeatVector", "vector", n=3),
    case("Rescaling", scale=[0.5, 0.25, 1.0, 2.0], offset=0.1),
    case("Reshape", target_shape=(-1, 4)),
    case("Resizing", height=5, width=7),
    Case("Resizing", settings={"height": 5, "width": 7, "interpolation": "nearest"}, variant="nearest"),
    Case("Resizing", settings={"height": 5, "width": 7, "crop_to_aspect_ratio": True}, variant="cropping"),
    Case("Resizing", settings={"height": 6, "width": 4, "pad_to_aspect_ratio": True}, generations=KERAS_3, variant="padding"),
    case("SeparableConv1D", "sequence", filters=3, kernel_size=3),
    case("SeparableConv2D", filters=3, kernel_size=3, depth_multiplier=2),
    case("SimpleRNN", "sequence", units=3),
    case("Softmax"),
    random("Solarization", KERAS_3),
    case("SpatialDropout1D", "sequence", rate=0.3),
    case("SpatialDropout2D", rate=0.3),
    case("SpatialDropout3D", "volume", rate=0.3),
    case("SpectralNormalization", "image", KERAS_3, layer=_of("Conv2D", filters=3, kernel_size=3)),
    merge("Subtract"),
    Case("BatchNormalization", settings={"synchronized": True}, variant="synchronized"),
    case("ThresholdedReLU", "image", KERAS_2, theta=0.3),
    case("TimeDistributed", "sequence", layer=_of("Dense", units=3)),
    case("UnitNormalization"),
    case("UpSampling1D", "sequence", size=2),
    case("UpSampling2D", size=2, interpolation="bilinear"),
    case("UpSampling3D", "volume", size=2),
    case("ZeroPadding1D", "sequence", padding=2),
    case("ZeroPadding2D", padding=((1, 0), (2, 1))),
    case("ZeroPadding3D", "volume", padding=1),
)  # fmt: skip
SHAPES |= {"frames_of_rows": (3, 8, 2), "frames_of_volumes": (2, 4, 4, 4, 2)}

# Layers that no image classifier holds, and why.
NONE = {
    "it takes text, indices or categories": (
        "CategoryEncoding", "Embedding", "HashedCrossing", "Hashing", "IntegerLookup", "ReversibleEmbedding", "StringLookup",
        "TextVectorization",
    ),
    "it takes sound": ("MelSpectrogram", "STFTSpectrogram"),
    "it takes boxes": ("MaxNumBoundingBoxes",),
    "it is a part of other layers, or their base": (
        "AbstractRNNCell", "DenseFeatures", "GRUCell", "InputLayer", "InputSpec", "LSTMCell", "Layer", "SimpleRNNCell",
        "StackedRNNCells", "Wrapper",
    ),
    "it holds code": ("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),
}  # fmt: skip


def classifier(keras: ModuleType, generation: int, item: Case) -> Any:
    """conv -> LAYER -> pool -> dense, with random weights."""
    keras.utils.set_random_seed(5)
    layers = keras.layers
    inputs = keras.Input(IMAGE, name="image")
    settings = item.settings_2 if generation == 2 and item.settings_2 is not None else item.settings
    made = {name: setting(layers) if callable(setting) else setting for name, setting in settings.items()}
    layer, first = getattr(layers, item.kind)(**made, name="layer"), layers.Conv2D(4, 3, padding="same", name="first")
    on_pixels = item.on == "pixels"
    value = first(layer(inputs)) if on_pixels else item.called(layer, _shaped(layers, first(inputs), SHAPES[item.on]))
    if len(value.shape) > 2:
        value = layers.Flatten(name="pool")(value) if len(value.shape) == 6 else _pool(layers, value)
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="scores")(value), name="classifier")
    randomise(model)
    return model


def _shaped(layers: Any, value: Any, shape: tuple[int, ...]) -> Any:
    if tuple(value.shape[1:]) == shape:
        return value
    spread = layers.Dense(int(np.prod(shape)), name="spread")(layers.GlobalAveragePooling2D(name="mean")(value))
    return layers.Reshape(shape, name="shaped")(spread)


def _pool(layers: Any, value: Any) -> Any:
    return getattr(layers, f"GlobalAveragePooling{len(value.shape) - 2}D")(name="pool")(value)


def randomise(model: Any) -> None:
    """Weights that no layer starts with: positive where they might be variances, and off from 0 and 1."""
    generator = np.random.default_rng(7)
    for layer in model.layers:
        values = [
            generator.uniform(-0.5, 0.7, value.shape) if value.ndim > 1 else generator.uniform(0.2, 1.3, value.shape)
            for value in layer.get_weights()
        ]
        if layer.weights and type(layer).__name__ != "Normalization" and all(w.dtype.kind == "f" for w in layer.get_weights()):
            layer.set_weights(values)


def framework(generation: int) -> ModuleType:
    """Keras of a generation."""
    return require("keras" if generation == 3 else "tf_keras")


def rebuilt_case(item: Case, generation: int, folder: Path) -> Rebuilt:
    """The small classifier with a layer, saved, loaded and rebuilt."""
    path = folder / "model.keras"
    classifier(framework(generation), generation, item).save(path)
    return rebuild(load_model(path))
