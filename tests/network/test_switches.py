"""Unpooling in the whole network: what reconstructions use beside the code, and what decoding a code alone does."""

import pytest
import torch

from diabolo.errors import UserError
from diabolo.runs.build import build_autoencoder, build_module
from diabolo.runs.config import compose_config
from diabolo.runs.loading import load
from support import opened_data

UNPOOL = ("model=conv_upsample", "model.upsample=unpool", "model.channels=[4,6]", "data.image_shape=[1,9,12]")


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def module(*overrides: str):
    torch.manual_seed(0)
    return build_module(compose_config((*UNPOOL, *overrides))).eval()


def test_a_reconstruction_uses_the_switches_and_a_code_alone_the_corners():
    model, batch = module(), images(5, 1, 9, 12)
    corners = module("model.upsample=bed_of_nails")
    corners.load_state_dict(model.state_dict())
    codes = model.encode(batch)
    assert torch.equal(codes, corners.encode(batch))
    assert torch.equal(model.decode(codes), corners.decode(codes))
    assert not torch.allclose(model.reconstruct(batch), model.decode(codes))
    assert torch.equal(corners.reconstruct(batch), corners.decode(codes))
    raw, code, *_ = model.autoencoder(batch)
    assert torch.equal(raw.sigmoid(), model.reconstruct(batch))
    assert torch.equal(code, codes)


def test_every_code_of_an_image_is_decoded_with_its_switches():
    model = module("bottleneck=nested", "bottleneck.size=6", "bottleneck.sizes=[6]", "bottleneck.truncations=3")
    raw = model.train().autoencoder(images(5, 1, 9, 12)).raw.detach()  # three times the same codes
    assert torch.equal(raw[:5], raw[5:10])
    assert torch.equal(raw[:5], raw[10:])
    assert float(raw.std(0).max()) > 0


def test_an_image_is_reconstructed_alike_whatever_went_before():
    model, batch = module(), images(6, 1, 9, 12)
    alone = torch.cat([model.reconstruct(one[None]) for one in batch])
    codes = model.encode(batch)
    model.reconstruct(batch[:2])
    torch.testing.assert_close(model.reconstruct(batch), alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.decode(codes[:1]), model.decode(codes)[:1], rtol=0, atol=1e-6)


def test_the_network_knows_how_many_switches_it_uses():
    assert module().autoencoder.switch_count == 4 * 5 * 6 + 6 * 3 * 3
    assert (
        module("encoder.pool=max", "model=lenet").autoencoder.switch_count == 4 * 5 * 6 + 6 * 1 * 1
    )  # 1x2 of kernel 5
    assert module("model.upsample=nearest").autoencoder.switch_count == 0


@pytest.mark.parametrize(
    ("overrides", "there"),
    [
        (["encoder=fc"], "it has none"),
        (["encoder=conv"], "it has none"),
        (["encoder.pool=average"], "it has none"),
        (["model=lenet"], "it has none"),
        (["decoder.channels=[4,7]"], "here one that makes 7x3x3 of 5x6, but it has 6x3x3 of 5x6"),
        (["decoder.channels=[4]"], "here one that makes 4x5x6 of 9x12, but it has 6x3x3 of 5x6"),
        (["encoder.channels=[4]"], "here one that makes 6x3x3 of 5x6, but it has 4x5x6 of 9x12"),
    ],
)
def test_an_encoder_without_matching_poolings_is_refused_in_one_sentence(overrides, there):
    with pytest.raises(UserError) as refused:
        build_autoencoder(compose_config((*UNPOOL, *overrides)))
    assert str(refused.value).startswith("`model.upsample` (= 'unpool') needs an encoder whose max-poolings mirror it")
    assert there in str(refused.value)


def test_a_run_records_its_switches_and_the_error_of_the_code_alone(trained, diabolo):
    small = ("data.limit=64", "data.test_limit=20", "trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=none")
    run = trained(*UNPOOL, *small, "callbacks.projector=null", "data.batch_size=16", "data.eval_batch_size=8")
    metrics, model = run.metrics(), load(run.path)
    assert metrics["switches"] == 4 * 5 * 6 + 6 * 3 * 3
    data = opened_data(run.config())
    batch = data.images("test")
    with torch.no_grad():
        for name, ours in (("mse", model.reconstruct(batch)), ("mse_of_code_alone", model.decode(model.encode(batch)))):
            assert metrics[f"test/{name}"] == pytest.approx(float((ours - batch / 255).square().mean()), rel=1e-4)
    assert (run.pictures / "interpolation" / "final.png").is_file()
    said = diabolo("inspect", *UNPOOL).out
    assert "beside the code, a reconstruction uses the places of 174 maxima (2 bits each)" in " ".join(said.split())


def test_gradients_flow_to_every_parameter_through_unpooling():
    network = module("model.activation=tanh").autoencoder
    batch = images(3, 1, 9, 12)
    (network(batch).raw - batch).square().mean().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())
