"""Pictures that are there twice, also recompressed or resized: a perceptual hash finds them, small copies confirm it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecls.data.pixel_file import PixelFile

_HASH_ROWS, _HASH_COLUMNS = 8, 9  # 64 comparisons of neighbours in a row
_SMALL = 16
_MOST_BITS = 8  # of 64 that another compression of a picture may turn over
_MOST_LEVELS = 3.0  # by which small copies of it differ on average; those of other pictures, though alike, by more
_AT_ONCE = 1 << 22  # pairs
_BATCH = 256


@dataclass(frozen=True)
class Looks:
    """What images look like: `hashes` uint64 [n], `small` copies in grey, uint8 [n, 256]."""

    hashes: np.ndarray
    small: np.ndarray

    def of(self, chosen: np.ndarray) -> Looks:
        """Those of some images."""
        return Looks(self.hashes[chosen], self.small[chosen])


def looks_of(pixels: PixelFile) -> Looks:
    """The looks of images, 0..255."""
    height, width, _ = pixels.shape
    tall, wide = _means(height, _HASH_ROWS), _means(width, _HASH_COLUMNS)
    small_tall, small_wide = _means(height, _SMALL), _means(width, _SMALL)
    hashes, small = [], []
    for batch in pixels.batches(_BATCH):
        grey = batch.mean(axis=-1, dtype=np.float32)
        coarse = tall @ grey @ wide.T
        bits = np.packbits((coarse[:, :, 1:] > coarse[:, :, :-1]).reshape(len(grey), -1), axis=1)
        hashes.append(bits.view(np.uint64)[:, 0])
        small.append(np.rint(small_tall @ grey @ small_wide.T).astype(np.uint8).reshape(len(grey), -1))
    return Looks(np.concatenate(hashes), np.concatenate(small))


def same_pictures(first: Looks, second: Looks) -> np.ndarray:
    """Pairs of indices, int [n, 2], of images of two parts that show the same picture."""
    step = max(1, _AT_ONCE // max(1, len(second.hashes)))
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(first.hashes), step):
        apart = np.bitwise_count(first.hashes[start : start + step, None] ^ second.hashes[None])
        pairs = np.argwhere(apart <= _MOST_BITS) + np.array([start, 0])
        found.append(_confirmed(first, second, pairs))
    return np.concatenate(found)


def same_within(looks: Looks) -> np.ndarray:
    """Pairs of indices, int [n, 2], of images of one part that show the same picture; of several alike each with the first."""
    order = np.argsort(looks.hashes, kind="stable")
    _, starts, counts = np.unique(looks.hashes[order], return_index=True, return_counts=True)
    pairs = [
        (order[start], order[start + place]) for start, count in zip(starts, counts, strict=True) for place in range(1, count)
    ]
    return _confirmed(looks, looks, np.array(pairs, np.int64).reshape(-1, 2))


def _confirmed(first: Looks, second: Looks, pairs: np.ndarray) -> np.ndarray:
    kept = []
    for start in range(0, len(pairs), _AT_ONCE // 256):
        some = pairs[start : start + _AT_ONCE // 256]
        levels = np.abs(first.small[some[:, 0]].astype(np.int16) - second.small[some[:, 1]]).mean(axis=1)
        kept.append(some[levels <= _MOST_LEVELS])
    return np.concatenate(kept) if kept else pairs


def _means(size: int, parts: int) -> np.ndarray:
    """Matrix [parts, size] that averages pixels in parts of a side, each pixel by how much of it lies within."""
    edges = np.linspace(0, size, parts + 1)
    pixels = np.arange(size)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(inside, 0, 1)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
