"""The bars of the code's units."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence

from diabolo.callbacks.units import Units
from diabolo.runs.loading import load
from support import TINY, opened_data


@pytest.mark.parametrize("bottleneck", ["vector", "variational"])
def test_bars_are_the_deviation_and_the_bottlenecks_own_figures(trained, bottleneck):
    run = trained(*TINY, "logger=none", "callbacks=units", f"bottleneck={bottleneck}")
    assert np.asarray(Image.open(run.pictures / "units" / "final.png")).std() > 5
    module, data = load(run.path).requires_grad_(False), opened_data(run.config())
    measured = Units().measured(module, data)
    torch.testing.assert_close(measured.pop("deviation_of_units"), module.encode(data.images("test")).std(0))
    if bottleneck == "variational":
        mean, log_variance = module.autoencoder.encoder(data.images("test").float() / 255).chunk(2, 1)
        expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).mean(0)
        torch.testing.assert_close(measured.pop("kl_of_units"), expected)
    assert not measured
