"""Stream: images on disk to batches that Keras trains on, by `tf.data`; memory does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.data.pixel_file import PixelFile
from edgecls.records.training import Augmenting
from edgecls.system.extras import require
from edgecls.training.augmenting import Augmenter

_AHEAD = 4  # batches that are read while one is trained on
_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Stream:
    """Decoded images of one part, in a file that was made through the image contract, and what they should be answered with.

    Attributes:
        pixels: all images of a source.
        chosen: int [n]: those of this part, an image several times where it is to be seen several times an epoch.
        targets: for each image of the source: class indices [N], or values for each output [N, outputs].
        weights: what each image of the source counts, float32 [N]; None: all alike.
        batch: images a step.
        seed: of the order.
        augmentation: random changes while they are trained on.
    """

    pixels: PixelFile
    chosen: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    batch: int = 32
    seed: int = 0
    augmentation: Augmenting = field(default_factory=Augmenting)

    @property
    def steps(self) -> int:
        """Of an epoch; what is left over when the last batch is full waits for another epoch's order."""
        return len(self.chosen) // self.batch

    def epoch(self, number: int) -> Any:
        """Batches (images float32 [batch, H, W, C] from 0 to 255, targets and, where there are some, weights) in the order of an epoch."""
        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(self.chosen)[: self.steps * self.batch].reshape(self.steps, self.batch)
        batches = self._batches(order)
        if not self.augmentation.is_none:
            augment = Augmenter(self.augmentation, [self.seed, number])
            batches = batches.map(lambda images, *rest: (augment(images), *rest))
        return batches.prefetch(_AHEAD)

    def in_order(self) -> Any:
        """Batches of images alone, of all sizes, in their order."""
        full = len(self.chosen) // _EVALUATION_BATCH * _EVALUATION_BATCH
        batches = self._batches(self.chosen[:full].reshape(-1, _EVALUATION_BATCH))
        if full < len(self.chosen):
            batches = batches.concatenate(self._batches(self.chosen[None, full:]))
        return batches.map(lambda images, *rest: images).prefetch(_AHEAD)

    def _batches(self, order: np.ndarray) -> Any:
        tf = require("tensorflow")
        targets, weights = self.targets, self.weights
        dtypes = [tf.uint8, tf.as_dtype(targets.dtype)] + ([tf.float32] if weights is not None else [])

        def read(chosen: np.ndarray) -> list[np.ndarray]:
            some = [self.pixels.take(chosen), targets[chosen]]
            return [*some, weights[chosen]] if weights is not None else some

        def shaped(chosen: Any) -> tuple[Any, ...]:
            images, wanted, *rest = tf.numpy_function(read, [chosen], dtypes)
            images = tf.cast(tf.ensure_shape(images, (None, *self.pixels.shape)), tf.float32)
            wanted = tf.ensure_shape(wanted, (None, *targets.shape[1:]))
            return (images, wanted, *(tf.ensure_shape(part, (None,)) for part in rest))

        return tf.data.Dataset.from_tensor_slices(order).map(shaped)


def samples(stream: Stream, rows: int = 6, columns: int = 8) -> np.ndarray:
    """Some images of a stream, each as it is and as its augmentation changes it: [rows, columns, H, W, C], 0..255."""
    spread = np.linspace(0, len(stream.chosen) - 1, min(rows, len(stream.chosen))).astype(np.int64)
    images = stream.pixels.take(stream.chosen[spread]).astype(np.float32)
    augment = Augmenter(stream.augmentation, [stream.seed])
    return np.stack([images, *(np.asarray(augment(images)) for _ in range(columns - 1))], axis=1)
