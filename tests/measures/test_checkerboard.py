"""The checkerboard score, on images whose spectrum is known."""

import numpy as np
import pytest
import torch

from diabolo.errors import UserError
from diabolo.measures.checkerboard import ROUNDING, Checkerboard, powers


def pattern(height: int, width: int, u: float, v: float) -> torch.Tensor:
    """A cosine of amplitude 1 at u and v cycles a pixel, 1 x 1 x H x W."""
    rows, columns = torch.arange(height).double()[:, None], torch.arange(width).double()
    return torch.cos(2 * torch.pi * (u * rows + v * columns))[None, None]


def score(images: torch.Tensor, period: int = 2) -> float:
    measure = Checkerboard(period)
    for part in images.split(100):
        measure.update(part)
    return float(measure.compute())


def by_hand(image: np.ndarray, period: int) -> tuple[float, float]:
    """Power at and around the frequencies of one image, by the discrete Fourier sum itself."""
    height, width = (side - side % period for side in image.shape)
    rows, columns = np.arange(height), np.arange(width)
    window = np.outer(0.5 - 0.5 * np.cos(2 * np.pi * rows / height), 0.5 - 0.5 * np.cos(2 * np.pi * columns / width))

    def power(u: int, v: int) -> float:
        wave = np.exp(-2j * np.pi * (u * rows[:, None] / height + v * columns / width))
        return abs((image[:height, :width] * window * wave).sum() / window.sum()) ** 2

    at, around = [], []
    for a in range(period):
        for b in range(period):
            if a or b:
                u, v = a * height // period, b * width // period
                at.append(power(u, v))
                around += [power(u + i, v + j) for i in range(-2, 3) for j in range(-2, 3) if max(abs(i), abs(j)) == 2]
    rounding = ROUNDING * (window**2).sum() / window.sum() ** 2
    return np.mean(at) + rounding, np.mean(around) + rounding


@pytest.mark.parametrize(("shape", "period"), [((8, 8), 2), ((9, 13), 2), ((28, 28), 2), ((28, 29), 4), ((12, 17), 3)])
def test_the_powers_are_those_of_the_fourier_sum(shape, period):
    images = np.random.default_rng(0).random((2, 3, *shape))
    ours = powers(torch.from_numpy(images), period)
    for n in range(2):
        wanted = np.mean([by_hand(channel, period) for channel in images[n]], 0)
        np.testing.assert_allclose(ours[n], wanted, rtol=1e-9)


SMOOTH = 0.5 + 0.4 * pattern(28, 28, 1 / 28, 2 / 28)


@pytest.mark.parametrize("amplitude", [0.01, 0.1])
@pytest.mark.parametrize(("period", "u", "v", "of"), [(2, 1 / 2, 1 / 2, 3), (2, 0, 1 / 2, 3), (4, 1 / 4, 1 / 4, 15)])
def test_a_pattern_adds_its_own_power_at_its_frequency_and_none_around_it(amplitude, period, u, v, of):
    before = powers(SMOOTH, period)[0]
    after = powers(SMOOTH + amplitude * pattern(28, 28, u, v), period)[0]
    power = amplitude**2 if u in (0, 1 / 2) and v in (0, 1 / 2) else 2 * (amplitude / 2) ** 2  # half at -u, -v
    assert float(after[0] - before[0]) == pytest.approx(power / of, rel=1e-6)
    assert float(after[1] - before[1]) == pytest.approx(0, abs=1e-15)
    assert score(SMOOTH + amplitude * pattern(28, 28, u, v), period) > 10


def test_images_without_a_pattern_score_about_one():
    drawn = torch.Generator().manual_seed(0)
    ramp = torch.arange(28.0)[:, None] / 54 + torch.arange(28.0) / 54
    assert score(SMOOTH) == pytest.approx(1, abs=1e-6)
    assert score(torch.full((1, 3, 9, 11), 0.3)) == pytest.approx(1, abs=1e-6)
    assert score(ramp[None, None]) == pytest.approx(1, abs=0.05)
    assert score(torch.rand(1000, 1, 15, 28, generator=drawn)) == pytest.approx(1, abs=0.1)


def test_the_score_grows_with_the_pattern_and_is_that_of_the_mean_spectrum():
    noise = torch.rand(200, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    scores = [score(noise + amplitude * pattern(16, 16, 1 / 2, 1 / 2)) for amplitude in (0, 0.02, 0.05, 0.1)]
    assert scores == sorted(scores)
    mean = powers(noise).mean(0)
    assert score(noise) == pytest.approx(float(mean[0] / mean[1]))


def test_images_too_small_for_the_period_are_refused():
    with pytest.raises(UserError, match=r"`period` \(= 4\) needs images of at least 16 pixels a side, not 28x15"):
        powers(torch.zeros(1, 1, 28, 15), 4)
    with pytest.raises(UserError, match=r"`period` \(= 1\) must be a whole number of at least 2"):
        Checkerboard(1)


def test_all_channels_count_alike_however_many_they_are():
    images = torch.rand(5, 6, 16, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(powers(images), torch.stack([powers(images[:, [c]]) for c in range(6)]).mean(0))
