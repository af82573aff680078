"""Which files are images, by their endings: what Pillow reads with its plugins, and what to do with others."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module

from PIL import Image

PLUGINS = ("pillow_heif.HeifImagePlugin", "pillow_avif", "pillow_jxl")  # register themselves when they are imported
for plugin in PLUGINS:
    with suppress(ImportError):
        import_module(plugin)

NO_PICTURES = ("BUFR", "GRIB", "HDF5", "WMF", "MPEG")  # which Pillow opens and cannot decode
MEDICAL = "see `data` in conf/README.md for reading them by a class of one's own"
ADVICE = {  # what may be meant as images and is no file of Pillow's -> what to do
    **dict.fromkeys((".heic", ".heif", ".hif"), "pip install pillow-heif"),
    **dict.fromkeys((".avif", ".avifs"), "pip install pillow-avif-plugin"),
    ".jxl": "pip install pillow-jxl-plugin",
    **dict.fromkeys(
        (*(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"),),
        "raw photographs: develop them to TIFF or PNG",
    ),
    **dict.fromkeys((".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"), MEDICAL),
    **dict.fromkeys((".exr", ".hdr", ".svg", ".wmf", ".emf"), "convert them to PNG or TIFF"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg"), "films: write their frames as images"),
    **dict.fromkeys((".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".tar.bz2", ".tar.xz"), "unpack them"),
    **dict.fromkeys((".npy", ".npz", ".pt", ".h5", ".hdf5", ".parquet", ".arrow"), "no files of single images"),
}


@cache
def endings() -> frozenset[str]:
    """The endings of the images that Pillow reads, with those of its plugins that are installed."""
    known = Image.registered_extensions()  # with those that Pillow can only write, such as .pdf
    return frozenset(
        ending
        for ending, kind in known.items()
        if (kind in Image.OPEN or kind == "MPO") and kind not in NO_PICTURES  # MPO opens as JPEG
    )
