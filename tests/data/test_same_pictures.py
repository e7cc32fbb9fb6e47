"""The same picture in two parts is found, other pictures are not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from edgecls.data.parts import parts_of
from edgecls.data.pixel_file import PixelWriter, write_pixels
from edgecls.data.same_pictures import Looks, looks_of, same_pictures, same_within


def scenes(count: int, seed: int, side: int = 48) -> np.ndarray:
    """Smooth pictures [count, side, side, 3]: coarse noise enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)) for image in coarse])


def looks(images: np.ndarray) -> tuple[PixelWriter, Looks]:
    writer = write_pixels(images)
    return writer, looks_of(writer.finish())


def recompressed(image: np.ndarray) -> np.ndarray:
    """As a JPEG of another size, and back."""
    stream = io.BytesIO()
    Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=70)
    return np.asarray(Image.open(stream).resize((48, 48), Image.Resampling.BILINEAR))


def test_recompressed_and_resized_copies_are_found_and_nothing_else():
    first, second = scenes(300, 0), scenes(200, 1)
    second[[3, 150]] = recompressed(first[7]), recompressed(first[290])
    _, mine = looks(first)
    _, other = looks(second)
    assert same_pictures(mine, other).tolist() == [[7, 3], [290, 150]]
    assert len(same_pictures(mine.of(np.arange(7)), other)) == 0


def test_copies_within_a_part_are_found():
    images = scenes(50, 2)
    images[[20, 40]] = images[5]
    _, found = looks(images)
    assert same_within(found).tolist() == [[5, 20], [5, 40]]


def test_flat_pictures_of_different_colours_are_different():
    flat = np.broadcast_to(np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None], (5, 16, 16, 3))
    _, found = looks(np.ascontiguousarray(flat))
    assert len(set(found.hashes.tolist())) == 1  # no hash tells them apart, their small copies do
    assert len(same_pictures(found.of(np.array([0, 1])), found.of(np.array([2, 3, 4])))) == 0


def test_which_parts_there_are(tmp_path: Path):
    for name in ("train/cat", "valid/cat", "__MACOSX/train"):  # the last is what a Mac's archives leave
        (tmp_path / "split" / name).mkdir(parents=True)
    (tmp_path / "classes" / "train").mkdir(parents=True)
    (tmp_path / "classes" / "plane").mkdir()
    np.savez(tmp_path / "arrays.npz", x_train=np.zeros(1), x_test=np.zeros(1), y_test=np.zeros(1))
    assert parts_of(tmp_path / "split") == {"training", "validation"}
    assert parts_of(tmp_path / "classes") == frozenset()  # trains are a class of their own here
    assert parts_of(tmp_path / "arrays.npz") == {"training", "data"}
    assert parts_of(Path("digits")) == {"training", "data"}
