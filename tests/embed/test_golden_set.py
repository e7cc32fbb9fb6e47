"""The golden set: every kind of picture that goes wrong in apps, and the exact pixels that it becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgecls.embed.drawn import draw_pictures
from edgecls.embed.golden import MOST_PICTURES, golden_set, write_pictures
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec

RGB, GREY = ImageSpec(height=64, width=96, channels=3), ImageSpec(height=32, width=32, channels=1, color_order="GRAY")


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_drawn_pictures_are_of_every_kind(tmp_path: Path) -> None:
    kinds = {}
    for path in draw_pictures(tmp_path):
        with Image.open(path) as image:
            kinds[path.stem] = (
                image.format,
                image.mode,
                image.getexif().get(0x0112, 1),
                "transparency" in image.info,
                image.size,
            )
    assert {(kind[0], kind[1]) for kind in kinds.values()} == {
        ("PNG", "RGB"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "I;16"),
    }  # fmt: skip
    assert kinds["turned"][2] == 6
    assert kinds["palette"][3]
    assert min(kinds["small"][4]) < 10
    assert max(kinds["wide"][4]) / min(kinds["wide"][4]) > 7
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 120_000  # they are shipped


def test_sixteen_bits_become_the_same_eight_whether_rounded_or_cut(tmp_path: Path) -> None:
    draw_pictures(tmp_path)
    wide = read(tmp_path / "sixteen_bits.png").astype(np.uint32)
    assert np.array_equal(wide >> 8, (wide * 255 + 32767) // 65535)


@pytest.mark.parametrize("spec", [RGB, GREY], ids=["colour", "grey"])
def test_pixels_are_those_of_the_model_and_lossless(spec: ImageSpec, tmp_path: Path) -> None:
    pictures, notes = write_pictures(tmp_path, spec, None)
    assert not notes
    for picture in pictures:
        stored = read(tmp_path / picture.pixels_file)
        assert stored.shape[:2] == (spec.height, spec.width)
        assert np.array_equal(stored.reshape(picture.pixels.shape), picture.pixels)
        assert picture.decoding == ("jpeg" if picture.file.endswith(".jpg") else "lossless")


def test_a_turned_picture_is_turned_back(tmp_path: Path) -> None:
    pictures, _ = write_pictures(tmp_path, RGB, None)
    turned = next(picture for picture in pictures if picture.name == "turned")
    with Image.open(tmp_path / turned.file) as image:
        upright = ImageOps.exif_transpose(image)
        expected = np.asarray(upright.resize((RGB.width, RGB.height), Image.Resampling.BILINEAR))
    assert np.abs(turned.pixels.astype(int) - expected).max() <= 1


def test_own_pictures_get_names_that_every_platform_takes(tmp_path: Path) -> None:
    own, place = tmp_path / "own", tmp_path / "place"
    for name in ("a/Haus am See.png", "b/Haus am See.png", "c/x.pixels.png", "c/x.png", "c/notes.txt"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (1, 2, 3)).save(own / name, "PNG")
    place.mkdir()
    pictures, _ = write_pictures(place, RGB, own)
    assert [picture.file for picture in pictures] == [
        "golden/Haus-am-See.png", "golden/Haus-am-See-2.png", "golden/x-pixels.png", "golden/x.png",
    ]  # fmt: skip
    assert len({name for picture in pictures for name in (picture.file, picture.pixels_file)}) == 8


def test_more_pictures_than_fit_are_told(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for index in range(MOST_PICTURES + 3):
        Image.new("L", (5, 5), index).save(own / f"{index:02}.png")
    pictures, notes = write_pictures(tmp_path, GREY, own)
    assert len(pictures) == MOST_PICTURES
    assert notes == [f"the golden set has the first 16 of 19 pictures in {own}"]


@pytest.mark.parametrize(
    ("name", "content", "said"), [("x.png", b"no", "none"), ("x.webp", None, "none"), ("x.png", None, "cut")]
)
def test_pictures_that_cannot_be_used_are_one_line(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
        content = path.read_bytes() if said == "none" else path.read_bytes()[:400]
    path.write_bytes(content)
    (tmp_path / "place").mkdir()
    with pytest.raises(DataError, match="choose others with --golden"):
        write_pictures(tmp_path / "place", RGB, path)


def test_a_folder_called_as_a_picture_is_none_and_a_broken_link_is_told(tmp_path: Path) -> None:
    source, first, second = tmp_path / "source", tmp_path / "first", tmp_path / "second"
    for folder in (source / "old.png", first, second):
        folder.mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(source / "a.png")
    assert [picture.name for picture in write_pictures(first, RGB, source)[0]] == ["a"]
    (source / "gone.jpg").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"gone.jpg: No such file .*; choose others with --golden"):
        write_pictures(second, RGB, source)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    for source, said in ((tmp_path / "none", "does not exist"), (tmp_path, "without any")):
        with pytest.raises(DataError, match=said):
            write_pictures(tmp_path, RGB, source)
        (tmp_path / "golden").rmdir()


def test_scores_are_told_to_the_last_bit(tmp_path: Path) -> None:
    pictures, _ = write_pictures(tmp_path, GREY, None)
    scores = np.random.default_rng(0).random((len(pictures), 3), np.float32)
    told = golden_set(pictures, {"a": scores}).images
    assert np.array_equal(np.array([image.scores["a"] for image in told], np.float32), scores)
