"""How folders of images are laid out: parts, classes and what is left out, for the layouts that sets come in."""

import re

import pytest

from diabolo.data.folders.folder import read_layout
from diabolo.errors import UserError
from folders import counts, fill

AB = {"a": 2, "b": 3}
LAYOUTS = {
    "class folders": ("a 2, b 3", {"train": AB}, ""),
    "one flat folder": (". 3", {"train": {"": 3}}, ""),
    "one folder in the folder": ("all 3", {"train": {"": 3}}, ""),
    "classes and loose images": ("a 2, b 3, . 1", {"train": AB | {"": 1}}, ""),
    "folders within classes": ("a/x 1, a/y 1, b/z/z 3", {"train": AB}, ""),
    "ImageNet: train and val": ("train/a 2, train/b 3, val/a 1, val/b 1", {"train": AB, "val": {"a": 1, "b": 1}}, ""),
    "train, val and test": (
        "train/a 2, train/b 3, val/b 1, test/a 1",
        {"train": AB, "val": {"b": 1}, "test": {"a": 1}},
        "",
    ),
    "capitals": ("Train/a 2, Train/b 3, Test/a 1", {"train": AB, "test": {"a": 1}}, ""),
    "long words": ("training/a 2, training/b 3, testing/b 1", {"train": AB, "test": {"b": 1}}, ""),
    "dev": ("TRAIN/a 2, TRAIN/b 3, dev/b 1", {"train": AB, "val": {"b": 1}}, ""),
    "train alone": ("train/a 2, train/b 3", {"train": AB}, ""),
    "parts without classes": ("train 2, valid 3, test 1", {"train": {"": 2}, "val": {"": 3}, "test": {"": 1}}, ""),
    "a class that only the test has": (
        "train/a 2, train/b 3, test/a 1, test/c 2",
        {"train": AB, "test": {"a": 1, "c": 2}},
        "",
    ),
    "a class called train": ("train 2, bus 3, car 4", {"train": {"train": 2, "bus": 3, "car": 4}}, ""),
    "classes called train and test_tube": (
        "train_station 2, test_tube 3",
        {"train": {"train_station": 2, "test_tube": 3}},
        "",
    ),
    "a class called train with folders, as the others": (
        "train/day 1, train/night 1, bus/day 1, bus/night 2",
        {"train": {"train": 2, "bus": 3}},
        "",
    ),
    "train beside folders without classes": (
        "train/a 2, train/b 3, unlabelled 4",
        {"train": AB},
        "4 images in unlabelled/ (beside the parts)",
    ),
    "train beside a loose image": ("train/a 2, train/b 3, logo.png", {"train": AB}, "1 image in ./ (beside the parts)"),
    "STL-10: unlabelled images beside the parts": (
        "train/a 2, train/b 3, test/a 1, unlabeled 4, logo.png",
        {"train": AB, "test": {"a": 1}},
        "4 images in unlabeled/ (beside the parts); 1 image in ./ (beside the parts)",
    ),
    "COCO: train2017, val2017": ("train2017 2, val2017 1", {"train": {"": 2}, "val": {"": 1}}, ""),
    "YOLO: images/train": (
        "images/train 2, images/val 1, labels/train/0.txt, labels/val/0.txt",
        {"train": {"": 2}, "val": {"": 1}},
        "2 other files (.txt)",
    ),
    "Roboflow: train/images": (
        "train/images 2, train/labels/0.txt, valid/images 1, test/images 1, data.yaml",
        {"train": {"": 2}, "val": {"": 1}, "test": {"": 1}},
        "2 other files (.txt, .yaml)",
    ),
    "classes below train/images": (
        "train/images/a 2, train/images/b 3, test/images/a 1",
        {"train": AB, "test": {"a": 1}},
        "",
    ),
    "Tiny ImageNet: val/images, test/images": (
        "train/a/images 2, train/b/images 3, val/images 2, test/images 1",
        {"train": AB, "val": {"": 2}, "test": {"": 1}},
        "",
    ),
    "test images of unknown class": ("train/a 2, train/b 3, test/unknown 2", {"train": AB, "test": {"": 2}}, ""),
    "ImageNet as it is unpacked": (
        "ILSVRC/Data/CLS-LOC/train/a 2, ILSVRC/Data/CLS-LOC/train/b 3, ILSVRC/Data/CLS-LOC/val 1,"
        " ILSVRC/Annotations/CLS-LOC/val/0.xml, ILSVRC/ImageSets/CLS-LOC/val.txt",
        {"train": AB, "val": {"": 1}},
        "2 other files (.txt, .xml)",
    ),
    "Kaggle's cats and dogs, copied": (
        "training_set/training_set/a 2, training_set/training_set/b 3, test_set/test_set/a 1",
        {"train": AB, "test": {"a": 1}},
        "",
    ),
    "Intel's scenes": (
        "seg_train/seg_train/a 2, seg_train/seg_train/b 3, seg_test/seg_test/b 1, seg_pred/seg_pred 2",
        {"train": AB, "test": {"b": 1}},
        "2 images in seg_pred/ (beside the parts)",
    ),
    "cars_train": ("cars_train/cars_train 2, cars_test/cars_test 1", {"train": {"": 2}, "test": {"": 1}}, ""),
    "Kaggle: train/cat.0.jpg": (
        "train/cat.0.png, train/cat.1.png, train/big dog.0.png, train/big dog.1.png, test1/1.png, test1/2.png",
        {"train": {"cat": 2, "big dog": 2}, "test": {"": 2}},
        "",
    ),
    "photographs with a number": ("IMG.001.png, IMG.002.png, IMG.003.png", {"train": {"": 3}}, ""),
    "Kaggle: train.csv and images": ("images 3, train.csv", {"train": {"": 3}}, "1 other file (.csv)"),
    "chest X-rays, twice unpacked": (
        "chest_xray/train/a 2, chest_xray/train/b 3, chest_xray/test/a 1, chest_xray/chest_xray/train/a 2,"
        " chest_xray/__MACOSX/chest_xray/train/a 2",
        {"train": AB, "test": {"a": 1}},
        "2 images in chest_xray/chest_xray/ (beside the parts); 2 hidden or system files",
    ),
    "MVTec AD": (
        "train/good 3, test/good 1, test/cut 2, ground_truth/cut/0_mask.png, ground_truth/cut/1_mask.png, license.txt",
        {"train": {"good": 3}, "test": {"good": 1, "cut": 2}},
        "2 images in ground_truth/ (masks); 1 other file (.txt)",
    ),
    "all of MVTec AD": (
        "a/train/good 1, a/test/cut 2, a/ground_truth/cut 2, b/train/good 2, b/test/good 1, b/ground_truth/cut 1",
        {"train": {"a": 1, "b": 2}, "test": {"a": 2, "b": 1}},
        "3 images in 2 folders ground_truth/ (masks)",
    ),
    "MVTec AD 2": (
        "train/good 3, validation/good 1, test_public/good 1, test_public/bad 2, test_public/ground_truth/bad 2,"
        " test_private 2",
        {"train": {"good": 3}, "val": {"good": 1}, "test": {"good": 1, "bad": 2}},
        "2 images in test_private/ (beside the parts); 2 images in test_public/ground_truth/ (masks)",
    ),
    "BTAD": (
        "01/train/ok 2, 01/test/ok 1, 01/test/ko 1, 01/ground_truth/ko 1",
        {"train": {"ok": 2}, "test": {"ok": 1, "ko": 1}},
        "1 image in 01/ground_truth/ (masks)",
    ),
    "VisA": (
        "candle/Data/Images/Normal 3, candle/Data/Images/Anomaly 2, candle/Data/Masks/Anomaly 2, candle/split.csv",
        {"train": {"Normal": 3, "Anomaly": 2}},
        "2 images in candle/Data/Masks/ (masks); 1 other file (.csv)",
    ),
    "DAGM: parts below classes": (
        "Class1/Train 2, Class1/Test 1, Class1/Train/Label 1, Class2/Train 1, Class2/Test 1",
        {"train": {"Class1": 2, "Class2": 1}, "test": {"Class1": 1, "Class2": 1}},
        "1 image in Class1/Train/Label/ (masks)",
    ),
    "segmentation: images and masks": ("images 3, masks 3", {"train": {"": 3}}, "3 images in masks/ (masks)"),
    "segmentation in parts": (
        "train/images 2, train/masks 2, val/images 1, val/masks 1",
        {"train": {"": 2}, "val": {"": 1}},
        "3 images in 2 folders masks/ (masks)",
    ),
    "VOC": (
        "JPEGImages 3, SegmentationClass 1, SegmentationObject 1, Annotations/0.xml, ImageSets/Main/train.txt",
        {"train": {"": 3}},
        "1 image in SegmentationClass/ (masks); 1 image in SegmentationObject/ (masks); 2 other files (.txt, .xml)",
    ),
    "Cityscapes": (
        "leftImg8bit/train/a 2, leftImg8bit/train/b 3, leftImg8bit/val/b 1, gtFine/train/a 2, gtFine/val/b 1",
        {"train": AB, "val": {"b": 1}},
        "3 images in gtFine/ (masks)",
    ),
    "CUB: images beside segmentations": (
        "images/001.A 2, images/002.B 1, segmentations/001.A 2, segmentations/002.B 1",
        {"train": {"001.A": 2, "002.B": 1}},
        "3 images in segmentations/ (masks)",
    ),
    "a class called masks": ("masks 2, gloves 3", {"train": {"masks": 2, "gloves": 3}}, ""),
    "patients and studies": ("patient1/study1 2, patient2/study1 1, patient2/study2 1", {"train": {"": 4}}, ""),
    "CheXpert": (
        "train/patient00001/study1 2, train/patient00002/study1 1, valid/patient64541/study1 1",
        {"train": {"": 3}, "val": {"": 1}},
        "",
    ),
    "folds": ("fold_1 2, fold_2 2", {"train": {"": 4}}, ""),
    "hidden and system files": (
        "a 2, b 3, .ipynb_checkpoints 2, a/.ipynb_checkpoints 1, b/._0.png, __MACOSX/a 1, .Trash-1000/files 1,"
        " a/@eaDir/0.png, .git/x.png, Thumbs.db, b/desktop.ini, a/.DS_Store, $RECYCLE.BIN 1",
        {"train": AB},
        "12 hidden or system files",
    ),
    "formats of other programs": (
        "a 2, b 3, a/0.heic, a/1.HEIC, b/0.CR2, b/0.dcm, b/1.nii.gz, a.zip, film.mp4, boxes.h5, notes.txt, README",
        {"train": AB},
        r"2 .heic files (pip install pillow-heif); 1 .cr2 file (raw photographs: develop them to TIFF or PNG); 2"
        r" .dcm, .nii.gz files (see `data` in conf/README.md for reading them by a class of one's own); 1 .mp4"
        r" file (films: write their frames as images); 1 .zip file (unpack them); 1 .h5 file (no files of single"
        r" images); 2 other files (.txt, without an ending)",
    ),
    "numbers": ("1 1, 2 1, 10 2, 0 1", {"train": {"0": 1, "1": 1, "2": 1, "10": 2}}, ""),
}


@pytest.mark.parametrize(("folders", "expected", "left_out"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_are_read_as_their_owners_mean_them(folders, expected, left_out, tmp_path):
    fill(tmp_path, *re.split(r",\s*", folders))
    assert counts(tmp_path) == expected
    said = read_layout(str(tmp_path)).said()
    assert len(said) == 2
    assert said[1] == f"left out: {left_out or 'nothing'}"


def test_numeric_class_names_are_numbered_as_numbers_and_others_as_text(tmp_path):
    fill(tmp_path / "numbers", *(f"{name} 1" for name in ("10", "2", "1", "00")))
    assert read_layout(str(tmp_path / "numbers")).classes == ("00", "1", "2", "10")
    fill(tmp_path / "mixed", *(f"{name} 1" for name in ("10", "2", "b", "B")))
    assert read_layout(str(tmp_path / "mixed")).classes == ("10", "2", "B", "b")


def test_the_images_stand_in_the_order_of_their_paths(tmp_path):
    """By which the splits are drawn, so that a run made before is measured on the same images."""
    fill(tmp_path, "a/x 2", "a/b.png", "a/y.png", "a 2", "a.b 1", "10 1", "9 1", "B/1.png")
    expected = sorted(tmp_path.rglob("*.png"))
    assert read_layout(str(tmp_path)).parts["train"].paths == expected


def test_classes_that_are_links_are_read_and_circles_end(tmp_path):
    fill(tmp_path / "store", "cats 2", "dogs/deep 1", "birds 1")
    for part in ("train", "test"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for name in ("cats", "dogs"):
            (tmp_path / "set" / part / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "dogs" / "round").symlink_to(tmp_path / "set")
    (tmp_path / "store" / "dogs" / "self").symlink_to(tmp_path / "store" / "dogs" / "self")
    (tmp_path / "set" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "set")
    expected = {"cats": 2, "dogs": 1}
    assert counts(tmp_path / "linked") == {"train": expected, "test": expected}


def test_a_run_says_what_it_understood(tmp_path):
    fill(tmp_path, *(f"train/c{i:02} 2" for i in range(20)), "val/c03 1")
    assert read_layout(str(tmp_path)).said() == (
        f"{tmp_path}: train 40 from train/, val 1 from val/; 20 classes: c00 2, c01 2, c02 2, ..., c19 2",
        "left out: nothing",
    )


def test_a_part_that_is_empty_or_missing_is_refused(tmp_path):
    fill(tmp_path / "one", "test/a 2", "train/0.heic")
    with pytest.raises(UserError, match=r"has images for validation or test \(test\) and none for training: .* train"):
        read_layout(str(tmp_path / "one"))
    fill(tmp_path / "two", "test/a 2", "val/b 1")
    with pytest.raises(UserError, match=r"\(test, val\) and none for training: say which are which by data.source"):
        read_layout(str(tmp_path / "two"))


def test_where_there_is_no_image_it_is_said_what_is_there(tmp_path):
    fill(tmp_path, "0.heic", "b/1.heic", "a.txt")
    with pytest.raises(UserError, match=r"no image in .*: 2 .heic files \(pip install pillow-heif\); 1 other file"):
        read_layout(str(tmp_path))


def test_stubs_that_pillow_only_recognises_are_no_images(tmp_path):
    fill(tmp_path, "a 2", "boxes.h5", "film.mpeg", "weather.grib")
    assert counts(tmp_path) == {"train": {"": 2}}
