"""Two runs on the same image, in a browser: their own pixels, under a slider, in turn, side by side."""

import base64
import io

import numpy as np
from PIL import Image

from browser import needs_browser
from compared_pages import SIDE, sheet_of, show, tick
from diabolo.report.names import Names
from diabolo.report.page import short, write_page
from made_runs import sweep
from pages import choose, click, slide


def drawn(browser, side):
    """The levels of a canvas, H x W."""
    canvas = f"document.querySelector('#pair canvas[data-side={side}]')"
    data = browser.run(f"[...{canvas}.getContext('2d').getImageData(0, 0, {SIDE}, {SIDE}).data]")
    return np.array(data, np.uint8).reshape(SIDE, SIDE, 4)[..., 0]


def seen(browser):
    """What the stage shows on the screen, in the middle of each pixel of the image: SIDE x SIDE."""
    browser.settle()
    left, top, width, height = browser.box("#pair .stage")
    clip = {"x": left + browser.run("scrollX"), "y": top + browser.run("scrollY"), "width": width, "height": height}
    shot = browser.ask("Page.captureScreenshot", clip=clip | {"scale": 1}, captureBeyondViewport=True)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("L"))
    at = ((np.arange(SIDE) + 0.5) * height / SIDE).astype(int)
    return picture[np.ix_(at, at)]


@needs_browser
def test_the_slider_shows_the_pixels_of_one_run_left_of_it_and_of_the_other_right(made_page, browser):
    _, _, pixels = made_page
    for first, second, image in ((1, 2, 0), (3, 4, 2), (0, 2, 1)):
        show(browser, first, second, image)
        np.testing.assert_array_equal(drawn(browser, "original"), pixels[0][image])
        np.testing.assert_array_equal(drawn(browser, "A"), pixels[first][image])
        np.testing.assert_array_equal(drawn(browser, "B"), pixels[second][image])
    one, other = pixels[0][1], pixels[2][1]
    for share, wanted in ((100, one), (0, other), (40, np.hstack([one[:, :2], other[:, 2:]]))):
        slide(browser, "#pair input[type=range]", share)
        np.testing.assert_array_equal(seen(browser), wanted)


@needs_browser
def test_keys_move_the_slider_and_a_drag_does(made_page, browser):
    _, _, pixels = made_page
    show(browser, 1, 2)
    browser.run("document.querySelector('#pair input[type=range]').focus()")
    browser.key("Home")
    np.testing.assert_array_equal(seen(browser), pixels[2][0])
    browser.key("ArrowRight")
    assert browser.run("document.querySelector('#pair input[type=range]').value") == "1"
    x, y, width, height = browser.box("#pair .stage")
    browser.press(x + 0.1 * width, y + height / 2, (x + 0.61 * width, y + height / 2))
    np.testing.assert_array_equal(seen(browser), np.hstack([pixels[1][0][:, :3], pixels[2][0][:, 3:]]))


@needs_browser
def test_flicker_shows_one_and_then_the_other_by_hand_and_by_itself(made_page, browser):
    _, _, pixels = made_page
    show(browser, 1, 2)
    click(browser, "#pair input[value=flicker]")
    state = "document.querySelector('#pair .stage').dataset.shown"
    for _ in range(2):
        was = browser.run(state)
        browser.wait(f"{state} !== '{was}'")  # by itself
    click(browser, "#pair input[type=checkbox]")
    for _ in range(2):
        np.testing.assert_array_equal(seen(browser), pixels[1 + "AB".index(browser.run(state))][0])
        click(browser, '#pair [aria-label="Show the other"]')


@needs_browser
def test_side_by_side_and_the_errors_of_the_image_are_told(made_page, browser):
    _, runs, pixels = made_page
    show(browser, 1, 2, 1)
    click(browser, '#pair input[value="side by side"]')
    first, second = (browser.box(f"#pair canvas[data-side={side}]") for side in "AB")
    assert second[0] >= first[0] + first[2]
    assert second[1] == first[1]
    told = browser.run("[...document.querySelectorAll('#pair dd')].map(one => one.textContent)")
    for place, text in enumerate(told, 1):
        error = ((pixels[place][1] / 255 - pixels[0][1] / 255) ** 2).mean()
        run = runs[place - 1]
        assert text.startswith(Names(runs).run(run))
        assert f"MSE of this image {short(error)}" in text
        assert f"test split {short(run.number('test/mse'))}" in text
    assert "4 of 12 runs have pictures" in browser.run("document.querySelector('#pair').innerText")


@needs_browser
def test_runs_that_are_filtered_out_are_chosen_no_more(made_page, browser):
    show(browser, 1, 2)
    tick(browser, "seed", "1")
    chosen = browser.run("[...document.querySelectorAll('#pair select')].map(select => select.value)")
    assert len(set(chosen)) == 2
    assert all(name.endswith("seed=1") for name in chosen)


@needs_browser
def test_pictures_of_other_images_are_not_laid_over_each_other(chromium, tmp_path):
    runs = sweep()
    sheets = [
        sheet_of(part, Names(runs), seed, f"The same test images: {seed}")[0]
        for seed, part in enumerate((runs[:2], runs[2:4]))
    ]
    write_page(runs, [], tmp_path / "page.html", [], (), sheets)
    chromium.open(tmp_path / "page.html")
    show(chromium, 1, 2)
    assert not chromium.run("document.querySelector('#pair .stages').hidden")
    choose(chromium, "#pair label:nth-of-type(2) select", 4)
    assert chromium.run("document.querySelector('#pair .stages').hidden")
    assert "do not show the same images" in chromium.run("document.querySelector('#pair [role=status]').textContent")
    assert not chromium.failures()
