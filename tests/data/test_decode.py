"""Every kind of image a folder may hold, made with Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecls.data.decode import convert_channels, decode_bytes, decode_image
from edgecls.data.source import Decoded, Skipped
from edgecls.errors import DataError, OversizedImageError
from edgecls.records.image_spec import ImageSpec

SIZE = (64, 48)  # width, height
RGB = ImageSpec(height=48, width=64, channels=3)
GREY = ImageSpec(height=48, width=64, channels=1)


@pytest.fixture
def photo() -> np.ndarray:
    """A smooth colour image, uint8 [48, 64, 3]: red grows to the right, green downwards, blue is constant."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([columns * 4, rows * 5, np.full_like(rows, 90)], axis=-1).astype(np.uint8)


def decoded(path: Path, spec: ImageSpec = RGB) -> np.ndarray:
    found = decode_image(path, spec)
    assert isinstance(found, Decoded), found
    assert found.pixels.dtype == np.uint8
    assert found.pixels.shape == (spec.height, spec.width, spec.channels)
    return found.pixels.astype(int)


def reason(path: Path) -> str:
    found = decode_image(path, RGB)
    assert isinstance(found, Skipped), "decoded"
    assert found.path == str(path)
    return found.reason


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif", ".ppm"])
def test_lossless_formats_come_back_unchanged(tmp_path: Path, photo: np.ndarray, suffix: str):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(photo).save(path, lossless=True)  # only WebP listens
    assert np.array_equal(decoded(path), photo)


def test_cmyk_becomes_rgb(tmp_path: Path, photo: np.ndarray):
    path = tmp_path / "print.jpg"
    Image.fromarray(photo).convert("CMYK").save(path, quality=100)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    # JPEG at quality 100 rounds each coefficient by at most half a step of 1: a few grey levels a pixel, one on average
    assert np.abs(decoded(path) - photo).mean() < 1


def test_sixteen_bits_become_eight_by_their_high_byte(tmp_path: Path):
    path = tmp_path / "deep.png"
    values = np.linspace(0, 65535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    Image.fromarray(values).save(path)
    assert np.abs(decoded(path, GREY)[..., 0] - values / 257).max() <= 0.5
    assert np.array_equal(decoded(path)[..., 0], decoded(path, GREY)[..., 0])


def test_thirty_two_bits_are_skipped_since_their_range_is_unknown(tmp_path: Path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.zeros((48, 64), np.float32)).save(path)
    assert "32-bit" in reason(path)


def test_palette_and_transparency(tmp_path: Path, photo: np.ndarray):
    palette, alpha = tmp_path / "palette.png", tmp_path / "alpha.png"
    limited = Image.fromarray(photo).quantize(32)
    limited.save(palette)
    assert np.array_equal(decoded(palette), np.asarray(limited.convert("RGB")))
    with_alpha = np.dstack([photo, np.zeros((48, 64), np.uint8)])
    Image.fromarray(with_alpha).save(alpha)
    assert np.array_equal(decoded(alpha), photo)


def test_one_bit_image_becomes_black_and_white(tmp_path: Path, photo: np.ndarray):
    path = tmp_path / "fax.tif"
    Image.fromarray(photo[..., 0] > 100).save(path)
    assert set(np.unique(decoded(path, GREY))) == {0, 255}


def test_grey_and_colour_feed_either_model(tmp_path: Path, photo: np.ndarray):
    grey, colour = tmp_path / "grey.png", tmp_path / "colour.png"
    Image.fromarray(photo[..., 0]).save(grey)
    Image.fromarray(photo).save(colour)
    assert np.array_equal(decoded(grey), np.repeat(photo[..., :1], 3, axis=-1))
    luma = photo @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decoded(colour, GREY)[..., 0] - luma).max() <= 1  # Pillow's fixed point
    converted = convert_channels(photo[None], 1)
    assert converted is not None
    assert np.array_equal(converted[0], decoded(colour, GREY))  # arrays and files alike


def test_first_frame_of_an_animation(tmp_path: Path, photo: np.ndarray):
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(np.full((48, 64, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert abs(decoded(path).mean() - 40) < 1
    found = decode_image(path, RGB)
    assert isinstance(found, Decoded)
    assert found.remark == "animated, first frame used"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, photo: np.ndarray, orientation: int):
    """What a viewer shows is what the model gets, whatever way the camera was held."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],  # stored turned left, shown turned right
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](photo)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    assert np.array_equal(decoded(path), photo)


def test_truncated_files_are_skipped(tmp_path: Path):
    noise = (
        np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    )  # no format makes its end of anything but pixels
    for suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".avif"):
        path = tmp_path / f"cut{suffix}"
        Image.fromarray(noise).save(path)
        whole = path.read_bytes()
        for share in (0.1, 0.5, 0.9):
            path.write_bytes(whole[: int(len(whole) * share)])
            found = decode_image(path, RGB)
            assert isinstance(found, Skipped), (suffix, share)
            assert found.reason


def test_broken_chunk_is_skipped(tmp_path: Path, photo: np.ndarray):
    path = tmp_path / "broken.png"
    Image.fromarray(photo).save(path)
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF  # inside the compressed pixels
    path.write_bytes(content)
    assert reason(path).startswith("damaged")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file"),
        (b"hello, this is text", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "fake.jpg"
    path.write_bytes(content)
    assert expected in reason(path)


def test_a_picture_that_claims_to_be_enormous_is_skipped(tmp_path: Path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    assert "damaged" in reason(path)


def test_no_damage_ever_escapes_as_an_exception(tmp_path: Path, photo: np.ndarray):
    generator = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".avif"):
        path = tmp_path / f"noisy{suffix}"
        Image.fromarray(photo).save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            noisy = whole.copy()
            noisy[generator.integers(0, len(noisy), 8)] = generator.integers(0, 256, 8)
            path.write_bytes(noisy.tobytes())
            assert isinstance(decode_image(path, RGB), Decoded | Skipped)


def test_a_large_jpeg_is_decoded_at_its_full_size(tmp_path: Path):
    """JPEG's own reduced sizes are other pixels, and no phone decodes that way."""
    path = tmp_path / "large.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (512, 768, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path, quality=90)
    small = ImageSpec(height=16, width=16, channels=3)
    with Image.open(path) as image:
        full = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    with Image.open(path) as image:
        image.draft(None, (128, 128))  # a reduced size as it would be chosen
        reduced = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(decoded(path, small), full)
    assert not np.array_equal(reduced, full)


@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF", "photo.jpg"])
def test_a_heic_photo_is_called_one(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64))
    found = decode_image(path, ImageSpec(height=4, width=4, channels=3))
    assert isinstance(found, Skipped)
    assert "HEIC" in found.reason and "save it as JPEG or PNG" in found.reason


def test_a_file_in_memory_becomes_the_same_pixels(tmp_path: Path, photo: np.ndarray):
    spec = ImageSpec(height=9, width=7, channels=3, fit="crop", filter="bilinear")
    for suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".avif"):
        path = tmp_path / f"photo{suffix}"
        Image.fromarray(photo).save(path)
        expected = decode_image(path, spec)
        assert isinstance(expected, Decoded)
        assert np.array_equal(decode_bytes(path.read_bytes(), spec, photo.size // 3), expected.pixels)


def test_a_file_in_memory_is_bounded_before_it_is_decoded(photo: np.ndarray):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    with pytest.raises(OversizedImageError):
        decode_bytes(stream.getvalue(), RGB, photo.size // 3 - 1)
    with pytest.raises(DataError, match="not an image"):
        decode_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", RGB, 1000)  # Pillow would give it to Ghostscript
    with pytest.raises(DataError, match="undamaged"):
        decode_bytes(stream.getvalue()[:-20], RGB, photo.size)
