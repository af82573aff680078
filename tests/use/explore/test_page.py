"""The page, driven in a browser: what it decodes is what torch decodes, and nothing of a run is obeyed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from browser import Browser, needs_browser
from diabolo.callbacks.pictures import decode
from diabolo.data.pixels import unit_interval
from diabolo.use.explore.page import page_of
from diabolo.use.trained import open_trained
from networks import overrides, trained_on_noise
from pages import check_text, choose, click, code, drop, grey, pixels, slide

NAMES = ("mse_4", "mae_4", "mse_2")


@pytest.fixture(scope="module")
def page(compared, tmp_path_factory):
    """A page of three runs, and their models."""
    runs = [open_trained(compared / name) for name in NAMES]
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page_of(runs, 32))
    return file, runs


@pytest.fixture
def browser(page):
    with Browser() as opened:
        opened.open(page[0])
        yield opened
        assert not opened.failures(), opened.failures()
        assert len(opened.requests) == 1, "the page itself, and nothing else"


def check_decoded(browser, run, model=0):
    np.testing.assert_allclose(pixels(browser, "decoded", model), grey(decode(run.module, code(browser))), atol=1)


NEXT, MEAN = '[aria-label="Next test image"]', '[aria-label="Mean code"]'


@needs_browser
def test_a_test_image_is_reconstructed_as_torch_does_in_every_model(page, browser):
    click(browser, NEXT)
    images = unit_interval(page[1][0].images().images("test", [1]))
    np.testing.assert_array_equal(pixels(browser, "image", -1), grey(images))
    for place, run in enumerate(page[1]):
        with torch.no_grad():
            made = run.module.reconstruct(images)
        np.testing.assert_allclose(pixels(browser, "decoded", place), grey(made), atol=1)
        said = browser.run(f"document.querySelectorAll('.stage .card')[{place + 1}].innerText")
        assert f"MSE {float((made - images).square().mean()):.4g}"[:9] in said
        error = (made - images).numpy()[0, 0]
        shown = pixels(browser, "error", place).astype(int)  # red: full where too bright, less where too dark
        np.testing.assert_allclose(shown, np.where(error > 0, 255, 255 * (1 - np.minimum(1, 2 * abs(error)))), atol=1)
    assert check_text(browser, len(NAMES) + 2).count("largest difference from PyTorch") == len(NAMES) + 2, "and PCAs"


@needs_browser
def test_a_click_on_the_map_and_a_drag_decode_what_torch_decodes(page, browser):
    before = code(browser)
    x, y, width, height = browser.box(".map")
    browser.press(x + 0.3 * width, y + 0.6 * height)
    clicked = code(browser)
    assert not torch.allclose(before, clicked)
    check_decoded(browser, page[1][0])
    browser.press(
        x + 0.3 * width, y + 0.6 * height, (x + 0.5 * width, y + 0.5 * height), (x + 0.7 * width, y + 0.2 * height)
    )
    assert not torch.allclose(code(browser), clicked)
    check_decoded(browser, page[1][0])
    decoded = page[1][0].module.decode(code(browser)).clamp(0, 1)  # which is the image of the other models
    np.testing.assert_allclose(pixels(browser, "decoded", 1), grey(page[1][1].module.reconstruct(decoded)), atol=2)


@needs_browser
def test_the_map_takes_keys_and_shows_the_image_under_the_pointer(page, browser):
    click(browser, MEAN)
    browser.run("document.querySelector('.map').focus()")
    before = code(browser)
    for key in ("ArrowRight", "ArrowUp"):
        browser.key(key)
    assert not torch.allclose(code(browser), before)
    check_decoded(browser, page[1][0])
    browser.key("Home")
    torch.testing.assert_close(code(browser), before)
    browser.key("Enter")
    assert "test image" in browser.run("document.querySelector('.stage').innerText")
    x, y, width, height = browser.box(".map")
    browser.run("document.querySelector('.map').dispatchEvent(new PointerEvent('pointerleave'))")
    shown = [
        browser.hover(x + width * i / 20, y + height * j / 20) or browser.run("!document.querySelector('.tip').hidden")
        for i in range(4, 17, 2)
        for j in range(4, 17, 2)
    ]
    assert any(shown)


@needs_browser
def test_a_map_of_two_units_moves_these_alone_and_the_image_comes_back(page, browser):
    before, model = code(browser), page[1][0]
    choose(browser, '[aria-label="Axes of the map"]', 1)
    for select, unit in (("across", 2), ("upwards", 0)):
        choose(browser, f'[aria-label="Unit {select}"]', unit)
    units = browser.run("[...document.querySelectorAll('#map select')].slice(1).map(s => +s.value)")
    x, y, width, height = browser.box(".map")
    browser.press(x + 0.7 * width, y + 0.8 * height)
    low = code(browser)[0]
    browser.press(x + 0.2 * width, y + 0.3 * height)
    high = code(browser)[0]
    assert high[units[0]] < low[units[0]], "further left"
    assert high[units[1]] > low[units[1]], "further up"
    changed = (code(browser) - before).abs()[0] > 1e-5
    assert sorted(changed.nonzero().flatten().tolist()) == sorted(units)
    check_decoded(browser, model)
    click(browser, '[aria-label="Back to the image"]')
    torch.testing.assert_close(code(browser), before)


@needs_browser
def test_a_slider_moves_its_unit_and_that_of_the_same_rank_elsewhere(page, browser):
    before, other = code(browser), pixels(browser, "decoded", 2)
    x, y, width, height = browser.box("#sliders input")
    unit = int(browser.run("document.querySelector('#sliders input').dataset.unit"))
    middle = x + width / 2
    browser.press(middle, y + height / 2, (x + 0.9 * width, y + height / 2))
    after = code(browser)
    changed = (after - before).abs()[0] > 1e-5
    assert changed.nonzero().flatten().tolist() == [unit]
    check_decoded(browser, page[1][0])
    assert (pixels(browser, "decoded", 2) != other).any()
    choose(browser, "#active", 2)
    assert code(browser).shape == (1, 2)
    check_decoded(browser, page[1][2], 2)


@needs_browser
def test_a_dropped_image_is_encoded_and_decoded_as_torch_does(page, browser):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    drop(browser, Image.fromarray(picture))
    np.testing.assert_array_equal(pixels(browser, "image", -1), picture)
    images = torch.from_numpy(picture)[None, None]
    for place, run in enumerate(page[1]):
        np.testing.assert_allclose(pixels(browser, "decoded", place), grey(run.module.reconstruct(images)), atol=1)


@needs_browser
def test_a_blend_is_that_of_pixels_and_of_codes(page, browser):
    for _ in range(2):
        click(browser, "#blend .row button")
        click(browser, NEXT)
    slide(browser, ".chip input", 25)  # to 50 of the other: a third and two thirds
    images = unit_interval(page[1][0].images().images("test", [0, 1]))
    weights = torch.tensor([1 / 3, 2 / 3])
    np.testing.assert_allclose(
        pixels(browser, "blend", -1), grey((weights.view(2, 1, 1, 1) * images).sum(0)[None]), atol=1
    )
    for place, run in enumerate(page[1]):
        with torch.no_grad():
            blended = run.module.decode((weights[:, None] * run.module.encode(images)).sum(0)[None])
        np.testing.assert_allclose(pixels(browser, "blend", place), grey(blended), atol=1)


@needs_browser
def test_arithmetic_adds_the_mean_of_a_class_and_takes_that_of_another_away(page, browser):
    before, run = code(browser), page[1][0]
    slide(browser, "#arithmetic input", 1.5)
    data = run.images()
    with torch.no_grad():
        train, labels = run.module.encode(data.images("train")), data.labels("train")
    plus, minus = browser.run("[...document.querySelectorAll('#arithmetic select')].map(s => +s.value)")
    assert plus != minus
    wanted = before + 1.5 * (train[labels == plus].mean(0) - train[labels == minus].mean(0))
    np.testing.assert_allclose(pixels(browser, "decoded", 0), grey(run.module.decode(wanted)), atol=1)
    slide(browser, "#arithmetic input", 0)
    torch.testing.assert_close(code(browser), before)


@needs_browser
def test_what_lies_outside_of_the_training_codes_is_marked(page, browser):
    assert "among the training codes" in browser.run("document.querySelectorAll('.stage .card')[1].innerText")
    for place in range(1, 5):
        slide(browser, f"#sliders label:nth-child({place}) input", "1e9")
    assert "outside the training codes" in browser.run("document.querySelectorAll('.stage .card')[1].innerText")


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_takes_a_finger(page, dark):
    with Browser(width=390, height=800, dark=dark, touch=True) as phone:
        phone.open(page[0])
        assert phone.run("document.documentElement.scrollWidth") <= 390
        before = code(phone)
        x, y, width, height = phone.box(".map")
        phone.touch(x + 0.4 * width, y + 0.5 * height, (x + 0.6 * width, y + 0.3 * height))
        assert not torch.allclose(code(phone), before)
        check_decoded(phone, page[1][0])
        top = phone.run("document.querySelector('.stage').getBoundingClientRect().top")
        assert 0 <= top < 100, "what is decoded stays in view"
        assert not phone.failures()


ODD = {
    "a code of one number": overrides("conv_transpose", "vector", "", "bottleneck.size=1"),
    "a codebook": overrides("conv_upsample", "vq", "unpool"),
    "levels": overrides("fc", "fsq", ""),
    "few units, in colour": overrides("residual", "top_k", "bilinear", "data.image_shape=[3,12,20]"),
    "deep": overrides("fc", "variational", "", "data.depth=uint16", "data.mean=0.2", "data.std=0.3"),
}


@needs_browser
def test_networks_of_all_kinds_run_in_the_page(tmp_path):
    few = ("data.limit=40", "data.test_limit=9")
    with Browser() as opened:
        for name, given in ODD.items():
            run = trained_on_noise(*given, *few)
            (tmp_path / "page.html").write_text(page_of([run], 9))
            opened.open(tmp_path / "page.html")
            said = check_text(opened, 2)
            differences = [
                float(word) for word in re.findall(r"PyTorch (\S+) of decoded pixels, (\S+) of codes", said)[0]
            ]
            assert max(differences) < 1e-4, (name, said)
            x, y, width, height = opened.box(".map")
            opened.press(x + 0.4 * width, y + 0.6 * height)
            check_decoded(opened, run)
            slide(opened, "#sliders input", 0.5)
            check_decoded(opened, run)
            choose(opened, "#active", 1)
            assert not opened.failures(), (name, opened.failures())


HOSTILE = "</script><img src=x onerror=alert(1)>{{7*7}}\u202e"


def test_nothing_of_a_run_is_obeyed(compared, tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "")
    shutil.copytree(compared / "mse_4", folder)
    run = open_trained(folder)
    run.images().classes = tuple(f"{HOSTILE}{label}" for label in range(10))
    text = page_of([run], 20)
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert "\u202e" not in text
    assert "default-src &#39;none&#39;" in text
    if needs_browser.args[0]:
        return
    (tmp_path / "page.html").write_text(text)
    with Browser() as opened:
        opened.open(tmp_path / "page.html")
        assert not opened.failures(), opened.failures()
        assert opened.run("document.querySelectorAll('img').length") == 0
        assert "onerror=alert(1)>{{7*7}}" in opened.run("document.querySelector('h1').textContent")
        assert "onerror=alert(1)" in opened.run("document.querySelector('.legend').textContent")
        assert len(opened.requests) == 1


def test_the_command_writes_one_page(diabolo, compared):
    ended = diabolo("explore", str(compared / "mse_4"), "--images", "8", "--half", "--out", "new/page.html")
    assert ended.code == 0, ended
    assert "new/page.html: " in ended.out
    text = Path("new/page.html").read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert "weights of 16 bits" in text
    assert diabolo("explore", str(compared / "mse_4"), "--out", "new/page.html").code == 2
