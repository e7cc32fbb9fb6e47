"""Folders, archives and digits as image sets."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.data import ImageSet, open_images, synthetic_pixels
from edgecls.data.parts import has_images_for
from edgecls.data.source import Role
from edgecls.data.subset import choose
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec

GREY = ImageSpec(height=8, width=8, channels=1)
RGB = ImageSpec(height=8, width=8, channels=3)
DEFAULT = ["class_0", "class_1", "class_2"]
UNREADABLE = Path("/proc/self/mem")


def paint(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)


def folder_of(tmp_path: Path, **classes: int) -> Path:
    for number, (name, count) in enumerate(classes.items()):
        (tmp_path / name).mkdir(exist_ok=True)
        for index in range(count):
            paint(tmp_path / name / f"{index:03}.png", 10 * number + index)
    return tmp_path


def data(path: Path, spec: ImageSpec = RGB, **arguments) -> ImageSet:
    return open_images(path, spec, role="data", **arguments)


def labels_of(images: ImageSet) -> list[int] | None:
    return None if images.labels is None else images.labels.tolist()


def levels(images: ImageSet) -> list[int]:
    return [int(image[0, 0, 0]) for batch in images.batches(3) for image in batch]


class TestFolders:
    def test_alphabetical_order_where_the_model_has_no_names(self, tmp_path: Path):
        images = data(folder_of(tmp_path, cat=2, ant=1, bee=1), labels=DEFAULT)
        assert labels_of(images) == [0, 1, 2, 2]
        assert levels(images) == [10, 20, 0, 1]
        assert "alphabetical" in images.note

    def test_names_find_their_labels(self, tmp_path: Path):
        folder = folder_of(tmp_path, **{"Old Ant": 1, "cat": 1, "7_bee": 1})
        images = data(folder, labels=["2 Cat", "bee, honeybee", "old-ant"])
        assert labels_of(images) == [1, 2, 0]
        assert images.class_names == ("2 Cat", "bee, honeybee", "old-ant")

    def test_a_subset_of_a_models_classes_is_labelled_by_name(self, tmp_path: Path):
        assert labels_of(data(folder_of(tmp_path, cat=1), labels=["ant", "bee", "cat"])) == [2]

    def test_strangers_stay_unlabelled_and_the_note_says_why(self, tmp_path: Path):
        images = data(folder_of(tmp_path, cat=1, dog=1), labels=["ant", "bee", "cat"])
        assert images.labels is None
        assert "not labelled" in images.note
        assert "dog" in images.note

    def test_alphabetical_order_is_not_used_against_a_name(self, tmp_path: Path):
        """As many folders as outputs, but `cat`, third in the alphabet here, is the model's first class."""
        assert data(folder_of(tmp_path, ant=1, bee=1, cat=1), labels=["cat", "wasp", "fly"]).labels is None

    def test_alphabetical_order_says_that_the_labels_are_others(self, tmp_path: Path):
        folder_of(tmp_path, ant=1, bee=1, cat=1)
        words = "though the model's labels are others: wasp, fly, moth"
        strange, known = data(tmp_path, labels=["wasp", "fly", "moth"]), data(tmp_path, labels=["ant", "fly", "moth"])
        assert labels_of(strange) == labels_of(known) == [0, 1, 2]
        assert words in strange.note
        assert "others" not in known.note + data(tmp_path, labels=DEFAULT).note

    def test_numbers_are_class_indices(self, tmp_path: Path):
        assert labels_of(data(folder_of(tmp_path, **{"0": 1, "2": 1}), labels=DEFAULT)) == [0, 2]

    def test_names_given_where_none_is_known_are_class_indices_also_where_some_lack(self, tmp_path: Path):
        images = data(folder_of(tmp_path, class_0=1, class_2=2), labels=DEFAULT)
        assert (labels_of(images), images.class_names) == ([0, 2, 2], tuple(DEFAULT))
        assert not data(folder_of(tmp_path, class_1=0, class_3=1), labels=["class_0", "class_1"]).labelled

    def test_more_than_ten_numbers_are_alphabetical_where_nothing_tells_and_indices_of_named_classes(self, tmp_path: Path):
        """Keras sorts 10 before 2; a file of names is in the order of the numbers."""
        folder_of(tmp_path, **{str(number): 1 for number in range(12)})
        alphabetical = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
        plain = data(tmp_path, labels=[f"class_{number}" for number in range(12)])
        assert labels_of(plain) == list(range(12))
        assert "0, 1, 10, 11, ..., as Keras sorts them; if they count the model's classes, say so with --labels" in plain.note
        assert labels_of(data(tmp_path, labels=[f"sign {number}" for number in range(12)])) == alphabetical
        assert labels_of(data(tmp_path, labels=[str(number) for number in range(12)])) == alphabetical
        keras = ["0", "1", "10", "11", *(str(number) for number in range(2, 10))]
        assert labels_of(data(tmp_path, labels=keras)) == list(range(12))

    def test_images_lie_deeper_and_clutter_is_ignored(self, tmp_path: Path):
        folder_of(tmp_path, ant=1, bee=1)
        paint(tmp_path / "ant" / "deep" / "er" / "9.png", 99)
        paint(tmp_path / "ant" / ".hidden.png", 1)
        paint(tmp_path / ".cache" / "1.png", 1)
        (tmp_path / "bee" / "Thumbs.db").write_bytes(b"x")
        (tmp_path / "bee" / "notes.txt").write_text("x")
        paint(tmp_path / "stray.png", 1)
        images = data(tmp_path, labels=["ant", "bee"])
        assert (levels(images), labels_of(images)) == ([0, 99, 10], [0, 0, 1])
        assert sorted(Path(item.path).name for item in images.skipped) == ["notes.txt", "stray.png"]

    def test_empty_class_folder_is_noted_and_keeps_its_place(self, tmp_path: Path):
        images = data(folder_of(tmp_path, ant=1, bee=0, cat=1), labels=DEFAULT)
        assert labels_of(images) == [0, 2]
        assert "'bee' holds no image" in images.note

    @pytest.mark.parametrize("labels", [DEFAULT, ["dog", "cat", "ant"]])
    def test_empty_folder_beside_the_classes_is_none(self, tmp_path: Path, labels: list[str]):
        images = data(folder_of(tmp_path, ant=1, cat=1, dog=1, new=0), labels=labels)
        assert sorted(labels_of(images) or []) == [0, 1, 2]
        assert "'new' holds no image" in images.note

    def test_flat_folder_and_single_file(self, tmp_path: Path):
        paint(tmp_path / "b.png", 2)
        paint(tmp_path / "a.png", 1)
        assert levels(data(tmp_path)) == [1, 2]
        assert data(tmp_path).labels is None
        assert levels(data(tmp_path / "b.png")) == [2]

    def test_train_and_test_folders_follow_the_role(self, tmp_path: Path):
        for split, count in (("train", 1), ("test", 2)):
            (tmp_path / split).mkdir()
            folder_of(tmp_path / split, ant=count, bee=count)
        assert len(data(tmp_path, labels=["ant", "bee"])) == 4
        assert len(open_images(tmp_path, RGB, role="calibration")) == 2

    def test_damaged_images_are_skipped_with_their_labels(self, tmp_path: Path):
        folder_of(tmp_path, ant=2, bee=2)
        (tmp_path / "ant" / "001.png").write_bytes(b"junk")
        images = data(tmp_path, labels=["ant", "bee"])
        assert (levels(images), labels_of(images), len(images)) == ([0, 10, 11], [0, 1, 1], 3)
        assert "1 skipped, first 001.png: not an image" in images.note

    def test_mostly_damaged_is_an_error(self, tmp_path: Path):
        folder_of(tmp_path, ant=3)
        for name in ("000.png", "001.png"):
            (tmp_path / "ant" / name).write_bytes(b"junk")
        with pytest.raises(DataError, match="2 of 3 that cannot"):
            len(data(tmp_path))

    @pytest.mark.parametrize("make", ["empty", "missing", "text"])
    def test_nothing_usable(self, tmp_path: Path, make: str):
        path = tmp_path / "there"
        if make != "missing":
            path.mkdir()
        if make == "text":
            (path / "a.txt").write_text("x")
        with pytest.raises(DataError) as caught:
            data(path)
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_no_image_is_told_at_once(self, tmp_path: Path):
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(DataError, match=r"a\.txt"):
            data(tmp_path / "a.txt")

    def test_image_files_cannot_feed_twelve_channels(self, tmp_path: Path):
        with pytest.raises(DataError, match="12 channels"):
            data(folder_of(tmp_path, ant=1), ImageSpec(height=8, width=8, channels=12))

    def test_real_photos(self, shared_data: Path):
        images = data(
            shared_data / "flowers", ImageSpec(height=32, width=32, channels=3), labels=[f"class_{i}" for i in range(5)]
        )
        assert len(images) == 736
        assert images.labels is not None
        assert np.bincount(images.labels).tolist() == [127, 180, 129, 140, 160]
        assert images.skipped == []


class TestArchives:
    def save(self, tmp_path: Path, compressed: bool = False, **arrays: Any) -> Path:
        path = tmp_path / "data.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    def pixels(self, count: int = 4, channels: int = 1) -> np.ndarray:
        return (np.arange(count)[:, None, None, None] + np.zeros((count, 8, 8, channels), int)).astype(np.uint8)

    @pytest.mark.parametrize(
        ("names", "role"),
        [
            (("test_images", "test_labels", "train_images"), "data"),
            (("val_images", "val_labels"), "validation"),
            (("train_images", "train_labels", "test_images"), "training"),
            (("images", "labels"), "data"),
            (("X_test", "Y_test", "X_train"), "data"),
            (("X", "y", "images"), "training"),
        ],
    )
    def test_names_that_others_give(self, tmp_path: Path, names: tuple[str, ...], role: Role):
        """As MedMNIST: `train_images` with `train_labels` [N, 1]."""
        images, labels, *other = names
        others: dict[str, Any] = {name: self.pixels(7) for name in other}
        ours: dict[str, Any] = {images: self.pixels(), labels: [[2], [0], [1], [1]]}
        for arrays in (others | ours, ours | others):
            found = open_images(self.save(tmp_path, **arrays), GREY, role=role, labels=DEFAULT)
            assert (len(found), labels_of(found)) == (4, [2, 0, 1, 1])
            assert f"{images} of the archive used" in found.note

    def test_labels_of_other_names_are_not_those_of_x(self, tmp_path: Path):
        found = data(self.save(tmp_path, x=self.pixels(), labels=["ant", "bee", "cat"]), GREY)
        assert (len(found), found.labels) == (4, None)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_roles(self, tmp_path: Path, compressed: bool):
        pixels = self.pixels()
        path = self.save(
            tmp_path, compressed, x_train=pixels, y_train=np.arange(4) % 3, x_test=pixels[:2] + 50, y_test=np.array([[2], [1]])
        )
        test = data(path, GREY, labels=DEFAULT)
        assert (levels(test), labels_of(test)) == ([50, 51], [2, 1])
        train = open_images(path, GREY, role="calibration", labels=DEFAULT)
        assert (levels(train), labels_of(train)) == ([0, 1, 2, 3], [0, 1, 2, 0])

    @pytest.mark.parametrize(
        ("y", "expected"),
        [
            (np.eye(3)[[2, 0, 1, 1]], [2, 0, 1, 1]),
            (np.array([2.0, 0.0, 1.0, 1.0]), [2, 0, 1, 1]),
            (np.array(["cat", "ant", "bee", "bee"]), [2, 0, 1, 1]),
        ],
    )
    def test_forms_of_y(self, tmp_path: Path, y: np.ndarray, expected: list[int]):
        assert labels_of(data(self.save(tmp_path, x=self.pixels(), y=y), GREY, labels=["ant", "bee", "cat"])) == expected

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (np.array([0, 1, 2, 3]), "label 3 in y"),
            (np.array([0, 1, 2, -1]), "label -1 in y"),
            (np.array([0, 1]), "shape \\(2,\\)"),
            (np.array([0.5, 1, 2, 0]), "float64"),
            (np.eye(4), "4 columns"),
            (np.full((4, 3), 2), "one-hot or multi-hot"),
            (np.zeros((4, 3)), "one-hot or multi-hot"),
            (np.ones((4, 2)), "2 columns"),
            (np.int64(1), "shape \\(\\)"),
            (np.array([b"caf\xe9", b"ant", b"bee", b"bee"]), "not UTF-8"),
        ],
    )
    def test_labels_that_cannot_be(self, tmp_path: Path, y: np.ndarray, message: str):
        with pytest.raises(DataError, match=message):
            data(self.save(tmp_path, x=self.pixels(), y=y), GREY, labels=DEFAULT)

    def test_names_as_bytes(self, tmp_path: Path):
        names = np.array(["caf\u00e9".encode(), b"ant", b"bee", b"bee"])
        assert labels_of(data(self.save(tmp_path, x=self.pixels(), y=names), GREY, labels=["ant", "bee", "caf\u00e9"])) == [
            2,
            0,
            1,
            1,
        ]
        path = self.save(tmp_path, x=self.pixels(), y=np.zeros(4, int), class_names=np.array([b"caf\xe9"]))
        with pytest.raises(DataError, match="class_names"):
            data(path, GREY, labels=DEFAULT)

    @pytest.mark.parametrize("y", [np.array([0, 1, 2, 10]), np.int64(1), np.array([b"\xe9"] * 4), np.eye(4), np.ones(3)])
    def test_calibration_needs_no_labels(self, tmp_path: Path, y: np.ndarray):
        path = self.save(tmp_path, x=self.pixels(), y=y)
        images = open_images(path, GREY, role="calibration", labels=DEFAULT)
        assert (levels(images), images.labels) == ([0, 1, 2, 3], None)
        assert "labels not used" in images.note
        with pytest.raises(DataError):
            data(path, GREY, labels=DEFAULT)

    def test_class_names_in_another_order_are_followed(self, tmp_path: Path):
        path = self.save(tmp_path, x=self.pixels(3), y=np.array([0, 1, 2]), class_names=np.array(["cat", "ant", "bee"]))
        assert labels_of(data(path, GREY, labels=["ant", "bee", "cat"])) == [2, 0, 1]

    def test_multi_hot_rows_stay_rows_and_follow_the_names_of_the_classes(self, tmp_path: Path):
        y = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
        path = self.save(tmp_path, x=self.pixels(), y=y, class_names=np.array(["cat", "ant", "bee"]))
        images = data(path, GREY, labels=["ant", "bee", "cat"])
        assert images.multi_hot and images.class_names == ("ant", "bee", "cat")
        assert labels_of(images) == [[1, 0, 1], [0, 0, 0], [1, 0, 0], [1, 1, 1]]  # pyright: ignore[reportComparisonOverlap]
        in_order = data(path, GREY, labels=DEFAULT)
        assert in_order.labels is not None and in_order.labels.tolist() == y.tolist()
        assert in_order.class_names == ("cat", "ant", "bee")
        assert len(data(path, GREY, labels=DEFAULT, limit=2)) == 2
        assert not data(self.save(tmp_path, x=self.pixels(), y=np.eye(3)[[0, 1, 2, 2]]), GREY, labels=DEFAULT).multi_hot

    def test_rows_of_a_part_are_multi_hot_where_those_of_another_are(self, tmp_path: Path):
        several = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]])
        path = self.save(
            tmp_path,
            x_train=self.pixels(),
            y_train=several,
            x_val=self.pixels(3),
            y_val=np.eye(3),
            x_test=self.pixels(1),
            y_test=[2],
        )
        held_out = open_images(path, GREY, role="validation", labels=DEFAULT)
        assert held_out.multi_hot and labels_of(held_out) == np.eye(3).tolist()
        assert labels_of(data(path, GREY, labels=DEFAULT)) == [2]
        other = np.array([1, 7, 0, 0])  # what is wrong with another part is no matter here
        path = self.save(tmp_path, x_train=self.pixels(), y_train=other, x_val=self.pixels(3), y_val=np.eye(3))
        assert labels_of(open_images(path, GREY, role="validation", labels=DEFAULT)) == [0, 1, 2]

    def test_what_tells_nothing_of_other_parts_leaves_one_hot_rows_as_they_are(self, tmp_path: Path):
        unlabelled = np.eye(4, 3)  # the last row has no class
        path = self.save(tmp_path, x_train=self.pixels(), y_train=unlabelled, x_test=self.pixels(3), y_test=np.eye(3))
        assert labels_of(data(path, GREY, labels=DEFAULT)) == [0, 1, 2]
        path = self.save(tmp_path, x_test=self.pixels(3), y_test=np.eye(3), labels=np.ones((2, 3)))  # nobody's images
        assert labels_of(data(path, GREY, labels=DEFAULT)) == [0, 1, 2]

    def test_a_message_names_the_array(self, tmp_path: Path):
        path = self.save(tmp_path, x_train=self.pixels(), y_train=[0, 1, 2, 0], x_val=self.pixels(2), y_val=[0, 3])
        with pytest.raises(DataError, match="label 3 in y_val"):
            open_images(path, GREY, role="validation", labels=DEFAULT)

    @pytest.mark.parametrize("shape", [(4, 8, 8), (4, 8, 8, 1), (4, 64)])
    def test_shapes_of_grey_images(self, tmp_path: Path, shape: tuple[int, ...]):
        images = data(self.save(tmp_path, x=self.pixels().reshape(shape)), GREY)
        assert levels(images) == [0, 1, 2, 3]

    def test_channels_and_size_are_converted(self, tmp_path: Path):
        images = data(self.save(tmp_path, x=self.pixels(2)), ImageSpec(height=16, width=12, channels=3))
        assert images.pixels.read(0, 2).shape == (2, 16, 12, 3)
        assert "resized from 8x8" in images.note

    def test_wide_integers_within_a_byte_are_pixels(self, tmp_path: Path):
        assert levels(data(self.save(tmp_path, x=self.pixels().astype(np.int64)), GREY)) == [0, 1, 2, 3]
        with pytest.raises(DataError, match="int64 from 0 to 300"):
            len(data(self.save(tmp_path, x=self.pixels().astype(np.int64) * 100), GREY))

    def test_floats_are_model_inputs(self, tmp_path: Path):
        spec = GREY.with_preprocess("-1..1")
        inputs = np.linspace(-1, 1, 256, dtype=np.float32).reshape(4, 8, 8, 1)
        images = data(self.save(tmp_path, x=inputs), spec)
        assert images.dtype == "float32"
        assert "model inputs" in images.note
        again = spec.apply(images.pixels.read(0, 4))
        assert (
            np.abs(again - inputs).max() < 1e-6
        )  # two roundings in float32 at magnitude 1 (and 255 in between): 2 * 255 * 2^-24 / 127.5

    @pytest.mark.parametrize(
        ("preprocess", "low", "high"),
        [("0..1", 0, 255), ("-1..1", 0, 255), ("0..1", -128, 127), ("0..1", -1e30, 1), ("0..255", 0, 1), ("0..255", -1, 1)],
    )
    def test_floats_of_another_scale_are_refused(self, tmp_path: Path, preprocess: str, low: float, high: float):
        inputs = np.linspace(low, high, 256).reshape(4, 8, 8, 1)
        with pytest.raises(DataError, match=r"found values from .* in .*data\.npz: x; save pixels as uint8") as caught:
            len(data(self.save(tmp_path, x=inputs), GREY.with_preprocess(preprocess)))
        assert f"{high:.4g}" in caught.value.found

    def test_the_scale_is_judged_by_all_chunks(self, tmp_path: Path):
        inputs = np.zeros((9, 256, 256, 1))  # 8 images make a chunk of 4 MiB
        inputs[8, 0, 0] = 200
        with pytest.raises(DataError, match="values from 0 to 200"):
            len(data(self.save(tmp_path, x=inputs), GREY.with_preprocess("0..1")))

    @pytest.mark.parametrize(
        ("preprocess", "expected"),
        [
            ("-1..1", (-1, 1)),
            ("imagenet-torch", (-123.675 / 58.395, (255 - 103.53) / 57.375)),
            ("imagenet-caffe", (-123.68, 255 - 103.939)),
            ("scale=-1/255,mean=0,std=1", (-1, 0)),
        ],
    )
    def test_range_of_model_inputs(self, preprocess: str, expected: tuple[float, float]):
        assert RGB.with_preprocess(preprocess).input_range == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("preprocess", "low", "high"),
        [
            ("0..1", (0 - 0.1307) / 0.3081, (1 - 0.1307) / 0.3081),  # MNIST standardized the usual way
            ("0..1", 0, 1),
            ("0..1", -12, 15),
            ("0..255", -124, 152),
            ("0..255", 0, 40),
            ("0..255", 0, 0),
            ("-1..1", 0, 1),
        ],
    )
    def test_floats_that_may_be_inputs_are_taken(self, tmp_path: Path, preprocess: str, low: float, high: float):
        inputs = np.linspace(low, high, 256).reshape(4, 8, 8, 1)
        assert len(data(self.save(tmp_path, x=inputs), GREY.with_preprocess(preprocess))) == 4

    def test_floats_that_are_no_numbers(self, tmp_path: Path):
        with pytest.raises(DataError, match="NaN"):
            len(data(self.save(tmp_path, x=np.full((2, 8, 8, 1), np.nan)), GREY))

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"pictures": np.zeros((2, 8, 8), np.uint8)}, "with pictures;"),
            ({"x_train": np.zeros((2, 8, 8), np.uint8)}, "with x_train"),
            ({"x": np.zeros((2, 3, 8, 8), np.uint8)}, "channels last"),
            ({"x": np.zeros((2, 9), np.uint8)}, "shape \\(2, 9\\)"),
            ({"x": np.full((2, 8, 8), "a")}, "x of <U1"),
            ({"x": np.zeros((0, 8, 8), np.uint8)}, "shape \\(0, 8, 8\\)"),
            (
                {"x": np.asfortranarray(np.zeros((2, 8, 8, 1), np.uint8) + np.arange(8)[:, None, None].astype(np.uint8))},
                "Fortran",
            ),
        ],
    )
    def test_arrays_that_are_no_images(self, tmp_path: Path, arrays: dict[str, np.ndarray], message: str):
        with pytest.raises(DataError, match=message):
            data(self.save(tmp_path, False, **arrays), GREY)

    def test_objects_are_refused_before_they_are_unpickled(self, tmp_path: Path):
        class Bomb:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "exploded",))

        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (2,)})
        path = tmp_path / "data.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", header.getvalue() + pickle.dumps(Bomb()))
        with pytest.raises(DataError, match="Python objects"):
            data(path, GREY)
        assert not (tmp_path / "exploded").exists()

    def test_damaged_archives(self, tmp_path: Path):
        path = self.save(tmp_path, compressed=True, x=np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1)).astype(np.uint8))
        whole = path.read_bytes()
        for content in (b"", b"not a zip", whole[:200], whole[: len(whole) // 2], whole[:400] + b"\0" * 400 + whole[800:]):
            path.write_bytes(content)
            with pytest.raises(DataError, match=r"damaged|with"):
                len(data(path, GREY))

    def test_real_archives(self, shared_data: Path):
        names = [f"class_{index}" for index in range(10)]
        with np.load(shared_data / "fashion_mnist.npz") as archive:
            pixels, y = archive["x_test"], archive["y_test"]
        images = data(shared_data / "fashion_mnist.npz", ImageSpec(height=28, width=28, channels=1), labels=names)
        assert np.array_equal(images.pixels.read(0, 10000), pixels)
        assert np.array_equal(images.labels, y)  # pyright: ignore[reportArgumentType]
        few = data(shared_data / "fashion_mnist.npz", ImageSpec(height=28, width=28, channels=1), labels=names, limit=100)
        assert few.labels is not None
        assert np.bincount(few.labels).tolist() == [10] * 10
        chosen = choose(10000, y, 100, 0)
        assert np.array_equal(few.pixels.read(0, 100), pixels[chosen])


@pytest.mark.skipif(not UNREADABLE.exists(), reason=f"no {UNREADABLE} on this system")
class TestUnreadable:
    """A file that opens and fails when read, for root too."""

    @pytest.mark.parametrize("name", ["a.png", "a.npz"])
    def test_files_are_named(self, tmp_path: Path, name: str):
        (tmp_path / name).symlink_to(UNREADABLE)
        with pytest.raises(DataError, match=name):
            len(data(tmp_path / name))

    def test_one_of_many_is_skipped_with_the_reason(self, tmp_path: Path):
        folder_of(tmp_path, ant=3)
        (tmp_path / "ant" / "zzz.png").symlink_to(UNREADABLE)
        assert data(tmp_path).skipped[0].reason.startswith("cannot be read: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["a.npz", "a.png", "ant/a.png", "ant"])
def test_what_may_not_be_read_is_named(tmp_path: Path, name: str):
    folder_of(tmp_path, ant=1, bee=1)
    (tmp_path / name).touch()
    (tmp_path / name).chmod(0)
    with pytest.raises(DataError, match=rf"{name}.*Permission denied"):
        len(data(tmp_path if name == "ant" else tmp_path / name))
    (tmp_path / name).chmod(0o755)


def test_a_name_too_long_for_the_file_system():
    with pytest.raises(DataError, match="too long"):
        data(Path("a" * 300))


class TestDigits:
    def test_no_other_path_of_that_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        for path in (tmp_path / "digits", Path("sub/digits"), Path("../digits")):
            with pytest.raises(DataError, match="does not exist"):
                data(path, GREY)
        paint(tmp_path / "digits" / "a.png", 7)
        assert levels(data(Path("digits"), GREY)) == [7]

    def test_calibration_of_a_model_with_fewer_classes(self):
        assert open_images(Path("digits"), GREY, role="calibration", labels=DEFAULT).labels is None
        with pytest.raises(DataError, match="labels from 0 to 2"):
            data(Path("digits"), GREY, labels=DEFAULT)

    def test_against_scikit_learn(self):
        from sklearn.datasets import load_digits

        bunch = load_digits(as_frame=False)
        test = np.arange(1797) % 5 == 4
        images = data(Path("digits"), GREY, labels=[f"class_{index}" for index in range(10)])
        expected = np.rint(bunch.images[test] * 255 / 16)  # pyright: ignore[reportAttributeAccessIssue]
        assert np.array_equal(images.pixels.read(0, 359)[..., 0], expected)
        assert np.array_equal(images.labels, bunch.target[test])  # pyright: ignore
        assert len(open_images(Path("digits"), GREY, role="calibration")) == 1797 - 359


class TestChoice:
    def test_shares_and_nesting(self):
        groups = np.repeat([0, 1, 2], [500, 300, 3])
        smaller, larger = choose(803, groups, 80, seed=1), choose(803, groups, 160, seed=1)
        assert set(smaller) <= set(larger)
        assert np.abs(np.bincount(groups[larger], minlength=3) - 160 / 803 * np.array([500, 300, 3])).max() <= 1
        assert np.array_equal(smaller, choose(803, groups, 80, seed=1))
        assert not np.array_equal(smaller, choose(803, groups, 80, seed=2))

    def test_every_class_is_there_while_there_is_room(self):
        assert len(np.unique(np.repeat(np.arange(10), 100)[choose(1000, np.repeat(np.arange(10), 100), 10, 0)])) == 10

    def test_no_limit(self):
        assert choose(5, None, None, 0).tolist() == choose(5, None, 9, 0).tolist() == [0, 1, 2, 3, 4]
        assert len(choose(5, None, 2, 0)) == 2

    def test_a_limit_below_one_is_refused(self, tmp_path: Path):
        with pytest.raises(DataError, match="limit"):
            data(tmp_path, limit=0)


def test_temporary_file_goes_with_the_set(tmp_path: Path):
    images = data(folder_of(tmp_path, ant=1))
    file = Path(images.pixels.path)
    assert file.is_file()
    images.close()
    assert not file.exists()


def test_synthetic_images_are_reproducible_and_differ():
    first, again = synthetic_pixels(RGB, 8, seed=3), synthetic_pixels(RGB, 8, seed=3)
    assert np.array_equal(first, again)
    assert len(np.unique(first.reshape(8, -1), axis=0)) == 8
    assert not np.array_equal(first, synthetic_pixels(RGB, 8, seed=4))


def test_a_part_called_valid_is_measured_on_where_there_is_no_other(tmp_path: Path):
    """What `has_images_for` promises of an archive before a training, `open_images` keeps after it."""
    spec, pixels = ImageSpec(height=4, width=4, channels=3), np.zeros((4, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "parts.npz", x_train=pixels, y_train=np.arange(4) % 2, x_valid=pixels[:2] + 7, y_valid=np.array([1, 0]))
    assert has_images_for(tmp_path / "parts.npz", "data")
    images = open_images(tmp_path / "parts.npz", spec, role="data", labels=["a", "b"])
    assert images.labels is not None and images.labels.tolist() == [1, 0]
    assert images.pixels.take(np.array([0])).max() == 7
