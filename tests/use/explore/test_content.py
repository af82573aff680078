"""What the page holds is the runs': codes, ends of sliders, the order of units, means of classes, density, PCA."""

import base64
import zlib

import numpy as np
import pytest
import torch

from diabolo.callbacks.pictures import encoded
from diabolo.data.pixels import unit_interval
from diabolo.errors import UserError
from diabolo.measures.pca import pca_of
from diabolo.use.explore.content import content
from diabolo.use.trained import open_trained
from javascript import needs_node, node
from networks import overrides, trained_on_noise


def numbers(held: dict, place: list[int]) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(held["numbers"]), np.float32)
    return array[place[0] : place[0] + place[1]]


@pytest.fixture(scope="module")
def held(compared):
    runs = [open_trained(compared / name) for name in ("mse_4", "mse_2")]
    return content(runs, 20), runs


def test_images_and_codes_are_those_of_the_test_split(held):
    page, (run, _) = held
    data = run.images()
    chosen = np.round(np.linspace(0, 31, 20)).astype(int)
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(page["images"])), np.uint8).reshape(20, 1, 8, 8)
    np.testing.assert_array_equal(pixels, data.images("test").numpy()[chosen])
    assert page["labels"] == data.labels("test").numpy()[chosen].tolist()
    with torch.no_grad():
        codes = encoded(run.module, data, "test", 32)[torch.from_numpy(chosen)]
        decoded = run.module.decode(codes[:4])
    model = page["models"][0]
    np.testing.assert_allclose(numbers(page, model["codes"]).reshape(20, 4), codes, rtol=1e-6)
    np.testing.assert_allclose(numbers(page, model["decoded"]), decoded.flatten(), rtol=1e-6)
    np.testing.assert_allclose(numbers(page, model["low"]), np.quantile(codes, 0.01, 0), rtol=1e-4, atol=1e-6)


def test_units_come_in_the_order_in_which_they_change_the_output(held):
    page, (run, _) = held
    model = page["models"][0]
    low, high = (torch.from_numpy(numbers(page, model[end]).copy()) for end in ("low", "high"))
    code = torch.from_numpy(numbers(page, model["codes"])[:4].copy())
    effects = []
    for unit in range(4):
        row = code.repeat(11, 1)
        row[:, unit] = torch.linspace(float(low[unit]), float(high[unit]), 11)
        with torch.no_grad():
            effects.append(run.module.decode(row).numpy().var(0).mean() ** 0.5)
    np.testing.assert_allclose(numbers(page, model["response"]), effects, rtol=1e-4)
    assert model["order"] == list(np.argsort(effects)[::-1])


def test_means_and_density_are_those_of_training_codes(held):
    page, (run, _) = held
    model, data = page["models"][0], run.images()
    with torch.no_grad():
        train = encoded(run.module, data, "train", 1000).numpy()
    labels = data.labels("train").numpy()
    np.testing.assert_allclose(numbers(page, model["mean"]), train.mean(0), rtol=1e-4, atol=1e-6)
    for label, place in model["means"].items():
        np.testing.assert_allclose(numbers(page, place), train[labels == int(label)].mean(0), rtol=1e-4, atol=1e-5)
    scaled = train / train.std(0, ddof=1)
    distances = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert model["reach"] == pytest.approx(np.quantile(distances.min(1), 0.99), rel=1e-3)


@needs_node
def test_pca_of_each_size_stands_beside_the_runs(held):
    page, (run, _) = held
    assert [model["name"] for model in page["models"]] == ["mse_4", "mse_2", "PCA, 4 numbers", "PCA, 2 numbers"]
    images = unit_interval(run.images().images("test"))[:3]
    code = """
    const weights = numbersOf(given.weights), model = given.model;
    const encoder = new Network(model.encoder, [1, 8, 8], weights), decoder = new Network(model.decoder, [2], weights);
    answer(given.images.map(image => Array.from(decoder.run(encoder.run(Float32Array.from(image))))));
    """
    given = {"weights": page["weights"], "model": page["models"][3], "images": images.flatten(1).tolist()}
    wanted = pca_of(run.images(), 2).reconstruct(images).flatten(1)
    np.testing.assert_allclose(node(code, given), wanted, atol=1e-5)


def test_what_cannot_be_explored_is_said_in_a_sentence(diabolo, compared, trained, tiny):
    other = trained(*tiny, "data.image_shape=[1,9,9]", "callbacks=none", "logger=none").path
    refused = diabolo("explore", str(compared / "mse_4"), str(other), "--out", "page.html")
    assert refused.code == 2
    assert "one page shows runs on images of one shape" in refused.err
    assert "`--images` (= 1) must be 2 or more" in diabolo("explore", str(other), "--images", "1", "--out", "a").err
    classifier = trained(*tiny, "task=classify", "bottleneck.size=10", "callbacks=none", "logger=none").path
    assert diabolo("explore", str(classifier), "--out", "page.html").code == 2


def test_an_own_encoder_stays_outside_and_an_own_decoder_is_refused(compared, monkeypatch):
    class Own(torch.nn.Flatten):
        def forward(self, images):
            return super().forward(images)[:, :4]

    run = open_trained(compared / "mse_4")
    run.module.autoencoder.encoder = Own()
    model = content([run], 8)["models"][0]
    assert model["encoder"] is None
    assert "the page cannot compute Own" in model["said"][-1]
    run.module.autoencoder.decoder = Own()
    with pytest.raises(UserError, match=r"mse_4' cannot be explored: the page cannot compute Own"):
        content([run], 8)


def test_in_the_tab_a_run_is_asked_for_what_is_not_in_the_page(compared, monkeypatch):
    runs = [open_trained(compared / name) for name in ("mse_4", "mse_2", "mae_4")]
    runs[1].module.autoencoder.decoder = torch.nn.Sequential(runs[1].module.autoencoder.decoder, torch.nn.Softsign())
    assert [model["asked"] for model in content(runs[::2], 8, in_tab=True)["models"]] == [None, None, None], "and PCA"
    models = content(runs, 8, in_tab=True)["models"]
    assert [model["asked"] for model in models] == [None, 1, None, None, None], "its place among the runs"
    assert [model["decoder"] is None for model in models] == [False, True, False, False, False]
    assert "TensorBoard decodes for it, as the page cannot compute Softsign" in models[1]["said"][1]
    monkeypatch.setattr("diabolo.use.explore.content.ENCODER_BYTES", 1)
    model = content(runs[:1], 8, in_tab=True)["models"][0]
    assert (model["encoder"], model["asked"], model["said"][1]) == (None, 0, "TensorBoard encodes for it")
    assert content(runs[:1], 8)["models"][0]["asked"] is None, "where there is no one to ask"


@pytest.mark.parametrize("depth", ["uint16", "float32"])
def test_deep_images_stand_in_two_bytes(depth):
    run = trained_on_noise(*overrides("fc", "vector", "", f"data.depth={depth}", "data.limit=40", "data.test_limit=9"))
    page = content([run], 9)
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(page["images"])), "<u2").reshape(9, 1, 9, 13)
    np.testing.assert_allclose(pixels / 65535, unit_interval(run.images().images("test")), atol=1e-5)
    assert page["image"]["bytes"] == 2
