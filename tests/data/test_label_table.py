"""A CSV beside images: a column of 0 and 1 for each class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.data import ImageSet, open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.data.source import Role
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec

RGB = ImageSpec(height=8, width=8, channels=3)
NAMES = ["ant", "bee", "cat"]
DEFAULT = ["class_0", "class_1", "class_2"]
ROWS = ["file,ant,bee,cat", "photos/0.png,1,0,1", "photos/1.png,0,0,0", "photos/2.png,0,1,0", "photos/3.png,1,1,1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photos/0.png … 3.png of grey levels 0, 10, 20, 30."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def table(
    folder: Path, lines: list[str], role: Role = "data", labels: list[str] | None = DEFAULT, spec: ImageSpec = RGB
) -> ImageSet:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_images(path, spec, role=role, labels=labels)


def labels_of(images: ImageSet) -> list[Any]:
    assert images.labels is not None
    return images.labels.tolist()


def test_images_and_labels_in_the_order_of_the_lines(folder: Path):
    images = table(folder, [ROWS[0], *reversed(ROWS[1:])])
    assert [int(image[0, 0, 0]) for batch in images.batches() for image in batch] == [30, 20, 10, 0]
    assert labels_of(images) == [[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert (images.multi_hot, images.class_names, images.name(0)) == (True, ("ant", "bee", "cat"), "photos/3.png")
    assert "4 images of labels.csv" in images.note


def test_columns_follow_the_models_names(folder: Path):
    assert labels_of(table(folder, ROWS, labels=["Cat", "ant", "bee"]))[0] == [1, 1, 0]
    with pytest.raises(DataError, match="columns named as the model's classes, ant, bee, dog, found cat"):
        table(folder, ROWS, labels=["ant", "bee", "dog"])


def test_one_class_for_each_image_is_single_labels(folder: Path):
    images = table(folder, ["image,ant,bee,cat", "photos/0.png,1,0,0", "photos/2.png,0,0,1"], labels=["bee", "cat", "ant"])
    assert not images.multi_hot
    assert images.labels is not None and images.labels.tolist() == [2, 1]


def test_what_spreadsheets_write_is_read(folder: Path):
    path = folder / "labels.csv"
    path.write_bytes('\ufefffile,"ant, red",bee,cat\r\nphotos/0.png,1, 0 ,1\r\n\r\nphotos/1.png,0,0,0\r\n'.encode())
    images = open_images(path, RGB, role="data", labels=DEFAULT)
    assert (labels_of(images), images.class_names) == ([[1, 0, 1], [0, 0, 0]], ("ant, red", "bee", "cat"))


AS_OTHERS_WRITE_IT = {
    "semicolons": "file;label\r\nphotos/0.png;bee\r\nphotos/2.png;ant\r\n",
    "tabs": "file\tlabel\nphotos/0.png\tbee\nphotos/2.png\tant\n",
    "Excel's first line": "sep=;\nfile;label\nphotos/0.png;bee\nphotos/2.png;ant\n",
    "pandas' numbers of rows": ",file,label\n0,photos/0.png,bee\n1,photos/2.png,ant\n",
    "pandas' numbers of rows before numbers as names": ",id,label\n0,0,bee\n1,2,ant\n",
    "labels first": "label,file\nbee,photos/0.png\nant,photos/2.png\n",
    "other columns": "file,label,split,width\nphotos/0.png,bee,train,8\nphotos/2.png,ant,test,8\n",
    "no heading": "photos/0.png,bee\nphotos/2.png,ant\n",
    "no heading and names without suffix": "photos/0,bee\nphotos/2,ant\n",
    "no heading and numbers as names": "0,bee\n2,ant\n",
    "backslashes": "file,label\nphotos\\0.png,bee\nphotos\\2.png,ant\n",
    "names alone": "file,label\n0.png,bee\n2.png,ant\n",
    "names without suffix": "id,breed\nphotos/0,bee\nphotos/2,ant\n",
    "numbers as names": "id,breed\n0,bee\n2,ant\n",
}


@pytest.mark.parametrize("text", AS_OTHERS_WRITE_IT.values(), ids=AS_OTHERS_WRITE_IT)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_other_programs_write_is_read(folder: Path, text: str, encoding: str):
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    images = open_images(folder / "labels.csv", RGB, role="data", labels=["ant", "bee", "cat"])
    assert images.labels is not None and images.labels.tolist() == [1, 0]
    assert [int(image[0, 0, 0]) for batch in images.batches() for image in batch] == [0, 20]


def test_paths_from_the_root_are_taken_where_they_lead_into_the_folder(folder: Path):
    images = table(folder, ["file,label", f"{folder.absolute() / 'photos/1.png'},bee"], labels=["ant", "bee", "cat"])
    assert len(images) == 1


def test_a_name_that_two_images_have_is_none_of_them(folder: Path):
    (folder / "more").mkdir()
    (folder / "photos/1.png").rename(folder / "1.png")
    for place in ("photos", "more"):
        (folder / place / "5.png").write_bytes((folder / "1.png").read_bytes())
    images = table(folder, ["file,label", "5.png,bee", "1.png,ant", "2.png,bee"], labels=["ant", "bee", "cat"])
    assert images.labels is not None and images.labels.tolist() == [0, 1]
    assert "1 skipped, first 5.png" in images.note


def test_files_of_pandas_numbered_rows_may_be_its_numbers(folder: Path):
    """`DataFrame.to_csv` gives an index without a name no heading: one with a column for each class beside it holds the files."""
    images = table(folder, [",ant,bee,cat", "1,1,0,0", "3,0,0,1"])
    assert (labels_of(images), images.name(1)) == ([0, 2], "photos/3.png")


def test_a_description_longer_than_a_file_name_is_another_column(folder: Path):
    images = table(folder, ["text,id,label", f"{'long ' * 80},photos/1,bee"], labels=["ant", "bee", "cat"])
    assert (labels_of(images), images.name(0)) == ([1], "photos/1.png")


def test_a_name_too_long_for_a_file_is_one_skipped_image(folder: Path):
    assert "1 skipped" in table(folder, [*ROWS, f"{'long' * 80}.png,1,0,0"]).note


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_costs_its_images_alone(folder: Path):
    (folder / "closed").mkdir(mode=0)
    images = table(
        folder, ["file,label", "0.png,bee", "closed/1.png,ant", "9.png,ant", "2.png,cat"], labels=["ant", "bee", "cat"]
    )
    (folder / "closed").chmod(0o755)
    assert labels_of(images) == [1, 2]
    assert "closed/1.png" in [f"{Path(item.path).parent.name}/{Path(item.path).name}" for item in images.skipped]


@pytest.mark.parametrize("written", ["{}", "{}.0"])
def test_numbers_are_indices_of_classes(folder: Path, written: str):
    """Of two, 0 and 1 in a single column are no rows of one class; of many, 10 does not come before 2."""
    two = ["file,label", *(f"photos/{number}.png,{written.format(number % 2)}" for number in range(4))]
    many = ["file,label", *(f"photos/{number}.png,{written.format(label)}" for number, label in enumerate((2, 10, 0, 11)))]
    assert labels_of(table(folder, two, labels=["no", "yes"])) == [0, 1, 0, 1]
    assert labels_of(table(folder, two, labels=None)) == [0, 1, 0, 1]
    assert labels_of(table(folder, many, labels=[f"class_{number}" for number in range(12)])) == [2, 10, 0, 11]
    assert labels_of(table(folder, many, labels=[f"name {number}" for number in range(12)])) == [2, 10, 0, 11]
    known = table(folder, many, labels=None)
    assert (labels_of(known), known.class_names) == ([1, 2, 0, 3], ("0", "2", "10", "11"))
    assert labels_of(table(folder, many, labels=["11", "10", "2", "0"])) == [2, 1, 3, 0]
    with pytest.raises(DataError, match="labels from 0 to 2, found label 10"):
        table(folder, many)


@pytest.mark.parametrize("labels", [DEFAULT, NAMES])
def test_numbers_are_indices_of_classes_too_where_an_image_has_several_or_none(folder: Path, labels: list[str]):
    assert labels_of(table(folder, ["file,labels", "photos/0.png,0|2", "photos/1.png,2"], labels=labels)) == [
        [1, 0, 1],
        [0, 0, 1],
    ]
    assert labels_of(table(folder, ["file,label", "photos/0.png,2.0", "photos/1.png,"], labels=labels)) == [[0, 0, 1], [0, 0, 0]]
    with pytest.raises(DataError, match="labels from 0 to 2, found label 3"):
        table(folder, ["file,labels", "photos/0.png,0|3"], labels=labels)


def test_numbers_from_1_are_as_many_classes_in_their_order(folder: Path):
    images = table(folder, ["file,label", "photos/0.png,3", "photos/1.png,1", "photos/2.png,2"])
    assert labels_of(images) == [2, 0, 1]
    assert "names of the CSV taken in numerical order: 1, 2, 3" in images.note


@pytest.mark.parametrize("between", ["|", ";"])
def test_a_single_column_holds_names_one_or_several(folder: Path, between: str):
    images = table(folder, ["file,label", "photos/0.png,bee", "photos/1.png,ant", "photos/2.png,bee"], labels=None)
    assert (labels_of(images), images.class_names, images.multi_hot) == ([1, 0, 1], ("ant", "bee"), False)
    images = table(folder, ["file,labels", f"photos/0.png,cat {between} ant", "photos/1.png,", "photos/2.png,ant"], labels=None)
    assert (labels_of(images), images.class_names) == ([[1, 1], [0, 0], [1, 0]], ("ant", "cat"))
    known = table(folder, ["file,labels", f"photos/0.png,cat{between}ant", "photos/1.png,cat"], labels=["cat", "bee", "ant"])
    assert labels_of(known) == [[1, 0, 1], [1, 0, 0]]


def test_an_image_that_is_not_there_is_skipped_with_its_labels(folder: Path):
    images = table(folder, [*ROWS, "photos/9.png,1,0,0"])
    assert len(images) == 4 and labels_of(images)[-1] == [1, 1, 1]
    assert "1 skipped, first 9.png" in images.note


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (ROWS[1:], "a first line with different names of classes"),
        (["0,1", "photos/0,bee", "photos/2,ant"], "a first line with different names of classes"),  # pandas numbers columns
        (["photos/0.png,1,0", "photos/1.png,0,1"], "a first line with different names of classes"),
        (["file,ant,ant,cat", *ROWS[1:]], "different names"),
        (["file,ant,bee", *ROWS[1:]], "3 columns in each line, found .*: 4 in line 2"),
        ([*ROWS, "photos/0.png,1,0,yes"], "'yes' in line 6.*the one called `label` is taken"),
        (["file,ant,bee", "photos/0.png,1,0"], "one per class of the model, found 2"),
        (["file,ant,bee,cat", "../secret.png,1,0,1"], "images in the folder of the CSV"),
        (["file,ant,bee,cat", "/etc/passwd,1,0,1"], "images in the folder of the CSV"),
        (["file,ant,bee,cat"], "an image for each line"),
        (["file,target,flipped", "photos/0.png,1,0"], "one per class of the model, found 2"),
        (["file,labels", "photos/0.png,ant;bee"], "3 columns in the CSV, one per class of the model, found 2"),
        (['file,ant,bee,cat', '"photos/0.png,1,0,1'], "a CSV in UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_said(folder: Path, lines: list[str], message: str):
    with pytest.raises(DataError, match=message):
        table(folder, lines)


def test_calibration_needs_no_labels_but_images(folder: Path):
    images = table(folder, [*ROWS, "photos/0.png,1,0,yes"], role="calibration")
    assert len(images) == 5 and images.labels is None and "labels not used" in images.note
    with pytest.raises(DataError, match="arrays of 4 channels"):
        table(folder, ROWS, spec=ImageSpec(height=8, width=8, channels=4, color_order="OTHER"))


def test_only_several_sigmoids_answer_for_any_number_of_labels(folder: Path):
    images = table(folder, ROWS)
    require_fitting(images, "sigmoid", 3)
    for kind, outputs, words in (("softmax", 3, "a softmax"), ("logits", 3, "--add-sigmoid"), ("sigmoid", 1, "a single one")):
        with pytest.raises(DataError, match=words):
            require_fitting(images, kind, outputs)  # pyright: ignore[reportArgumentType]
    single = table(folder, ["file,ant,bee,cat", "photos/0.png,1,0,0"])
    require_fitting(single, "softmax", 3)
