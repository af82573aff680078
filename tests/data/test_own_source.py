"""The example of an own data source in conf/README.md, as it stands there."""

import re

import numpy as np
import pytest
import torch

from support import CONF, TINY

PAGE = (CONF / "README.md").read_text()


def blocks(language: str) -> dict[str, str]:
    """The blocks of code of the page whose first line names their file."""
    return dict(re.findall(rf"```{language}\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


def write_dicom(path, values):
    pydicom = pytest.importorskip("pydicom")
    dicom = pydicom.Dataset()
    dicom.SOPClassUID, dicom.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
    dicom.file_meta = pydicom.dataset.FileMetaDataset()
    dicom.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dicom.file_meta.MediaStorageSOPClassUID = dicom.SOPClassUID
    dicom.file_meta.MediaStorageSOPInstanceUID = dicom.SOPInstanceUID
    dicom.Rows, dicom.Columns = values.shape
    dicom.SamplesPerPixel, dicom.PhotometricInterpretation = 1, "MONOCHROME2"
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 16, 16, 15, 0
    dicom.RescaleSlope, dicom.RescaleIntercept = "2", "-1000"
    dicom.PixelData = values.astype("<u2").tobytes()
    dicom.save_as(path, enforce_file_format=True)


def test_slices_of_dicom_files_are_read_by_one_file_and_one_yaml(diabolo, tmp_path):
    (tmp_path / "patient").mkdir()
    stored = np.random.default_rng(0).integers(300, 700, (20, 16, 12))  # -400 to 398 Hounsfield units
    for i, values in enumerate(stored):
        write_dicom(tmp_path / "patient" / f"{i:02}.dcm", values)
    source, config = blocks("python")["mine.py"], blocks("yaml")["myconf/data/dicom.yaml"]
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "myconf" / "data").mkdir(parents=True)
    (tmp_path / "myconf" / "data" / "dicom.yaml").write_text(config)

    mine: dict = {}
    exec(source, mine)
    images = mine["dicom_images"](str(tmp_path), (1, 16, 12)).train
    expected = ((stored * 2 - 1000 + 160) / 400).clip(0, 1) * 255
    assert torch.equal(images.pixels[:, 0], torch.from_numpy(expected.round().astype(np.uint8)))

    own = ("--config-dir", "myconf", "data=dicom", f"data.root={tmp_path / 'patient'}", "hydra.run.dir=run")
    ended = diabolo("train", *own, *TINY, "data.batch_size=8", "callbacks=none", "logger=none")
    assert ended.code == 0, ended.err
