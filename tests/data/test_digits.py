"""The bundled digits."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from diabolo.data.digits import digit_images


def test_the_8x8_digits_are_those_of_scikit_learn():
    bunch = load_digits()
    train, test, *_ = digit_images(image_shape=(1, 8, 8))
    assert test is None
    assert len(train) == 1797
    assert np.array_equal(train.labels, bunch.target)
    assert np.array_equal(train.take(range(1797))[:, 0], np.floor(bunch.images * 255 / 16 + 0.5))


def test_larger_digits_are_the_small_ones_resized():
    large = digit_images(image_shape=(1, 28, 28)).train
    for index in (0, 900, 1796):
        small = Image.fromarray(digit_images(image_shape=(1, 8, 8)).train[index][0].numpy())
        pillow = np.asarray(small.resize((28, 28), Image.Resampling.BILINEAR))
        assert np.abs(large[index][0].numpy().astype(int) - pillow).max() <= 1
