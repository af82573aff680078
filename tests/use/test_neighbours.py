"""`diabolo neighbours`: the nearest codes, printed and drawn."""

from pathlib import Path

import numpy as np
import torch

from diabolo.runs.loading import load
from diabolo.use.images import given_images
from diabolo.use.neighbours import nearest_codes
from diabolo.use.trained import open_trained
from support import pixels


def expected(run, images, query):
    files = sorted(images.rglob("*.png"))
    stored = torch.stack([torch.tensor(pixels(file))[None] for file in files])
    model = load(run.path)
    with torch.no_grad():
        codes = model.encode(stored)
        distances = (codes - model.encode(torch.tensor(pixels(query))[None, None])).norm(dim=1)
    return sorted(zip(distances.tolist(), (str(file.relative_to(images)) for file in files), strict=True))


def test_the_nearest_images_are_printed_with_their_distance_and_class(diabolo, run, images):
    query = images / "dot" / "05.png"
    ended = diabolo("neighbours", str(run.path), str(query), "--of", str(images), "-k", "4", "--out", "near.png")
    assert ended.code == 0, ended.err
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["distance", "label", "image"]
    for rank, (distance, name) in enumerate(expected(run, images, query)[:4], 1):
        assert lines[rank] == [str(rank), f"{distance:.4f}", name.split("/")[0], name]
    picture = pixels(Path("near.png"))  # five tiles of 8x8, 14 times as large, 2 apart, under a line of text
    assert picture.shape[:2] == (18 + 112, 5 * 112 + 4 * 2)
    assert np.array_equal(picture[18::14, 0:112:14], pixels(query))
    assert np.array_equal(picture[18::14, 114:226:14], pixels(query))


def test_batches_do_not_matter(run, images):
    opened = open_trained(run.path)
    query = images / "bar" / "02.png"
    found = given_images(opened, [str(images)])
    found.batch_size = 4
    image = torch.tensor(pixels(query))[None]
    near = nearest_codes(opened, image, found, 7)
    assert [found.names[one.place] for one in near] == [name for _, name in expected(run, images, query)[:7]]
    for one in near:
        assert np.array_equal(one.image[0], pixels(images / found.names[one.place]))


def test_a_split_is_searched_by_its_name(diabolo, run):
    ended = diabolo("neighbours", str(run.path), "test:2", "--of", "test", "-k", "1")
    assert ended.out.splitlines()[1].split() == ["1", "0.0000", "bar", "test_2"]
