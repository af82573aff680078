"""The page in a browser: it shows two runs as they are, follows what is pointed at and filtered, and obeys nothing."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from browser import Browser, needs_browser
from diabolo.report.collect import collect
from diabolo.report.names import Names
from diabolo.report.page import short, write_page
from diabolo.report.sheet import Row, Sheet, strip
from made_runs import made, sweep, write_run
from pages import choose, click, slide

IMAGES, SIDE = 3, 5
FIGURE = ".plots figure:first-child"  # error against code size


def with_history(runs, folder):
    """The runs with two epochs, and errors of images in two classes."""
    labels, zeros = np.array([0, 1]), np.zeros(2)
    for run in runs:
        error = run.number("test/mse")
        run.history = [{"epoch": epoch, "val/mse": error * (3 - epoch)} for epoch in (1, 2)]
        run.path = folder / run.name
        run.path.mkdir()
        np.savez(run.path / "per_image.npz", images="", labels=labels, mse=error * (1 + labels), mae=zeros, ssim=zeros)
    return runs


def sheet_of(runs, names, seed=0, title="The same test images"):
    """A sheet with random pictures of the runs, and the IMAGES x SIDE x SIDE bytes of each row."""
    draw = np.random.default_rng(seed)
    pixels = [draw.integers(0, 256, (IMAGES, 1, SIDE, SIDE), np.uint8) for _ in range(1 + len(runs))]
    rows = [Row("originals", strip(pixels[0]), 12)]
    for run, images in zip(runs, pixels[1:], strict=True):
        errors = ((images / 255 - pixels[0] / 255) ** 2).mean((1, 2, 3))
        rows.append(Row(names.run(run), strip(images), 12, run.number("test/mse"), run, tuple(errors)))
    return Sheet("contact_sheet", title, "", tuple(rows), images=IMAGES), [images[:, 0] for images in pixels]


@pytest.fixture(scope="module")
def made_page(tmp_path_factory):
    """A page of twelve runs with pictures of the first four, the runs and the pixels."""
    folder = tmp_path_factory.mktemp("page")
    runs = with_history(sweep(), folder)
    sheet, pixels = sheet_of(runs[:4], Names(runs))
    file = folder / "page.html"
    write_page(runs, [], file, ["Words."], (), [sheet])
    return file, runs, pixels


@pytest.fixture(scope="module")
def chromium():
    with Browser() as opened:
        yield opened


@pytest.fixture
def browser(chromium, made_page):
    chromium.hover(0, 0)
    chromium.open(made_page[0])
    yield chromium
    assert not chromium.failures(), chromium.failures()
    assert len(chromium.requests) == 1 + sum(url.startswith("data:") for url in chromium.requests), "nothing else"


def show(browser, first, second, image=0):
    """Chooses two pictures by their places and an image, and waits until they are drawn."""
    browser.run("document.querySelector('#pair input[type=number]').value = " + str(image + 1))
    browser.run("document.querySelector('#pair input[type=number]').dispatchEvent(new Event('change'))")
    choose(browser, "#pair label:nth-of-type(1) select", first)
    choose(browser, "#pair label:nth-of-type(2) select", second)
    name = "[...document.querySelectorAll('#pair canvas[data-side={}]')][0].dataset.drawn"
    for side in "AB":
        browser.wait(f"{name.format(side)}?.endsWith(', image {image + 1}')")
        option = f"document.querySelector('#pair label:nth-of-type({'AB'.index(side) + 1}) select').value"
        browser.wait(f"{name.format(side)}.startsWith({option})")


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


def lit(browser):
    return browser.run("[...document.querySelectorAll('tr.lit')].map(row => +row.dataset.run)")


def tip(browser):
    """The note beside what is pointed at; "" where there is none."""
    return browser.run("(tip => tip.hidden ? '' : tip.innerText)(document.querySelector('.tip'))")


def dot_of(browser, place):
    """The middle of the dot of one of the first line's runs, on the screen."""
    browser.box(FIGURE)
    return browser.run(
        f"(dot => {{ const b = dot.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})"
        f"(document.querySelectorAll('{FIGURE} [data-part=dots][data-mark=\"0\"] use')[{place}])"
    )


def tick(browser, key, value):
    """Ticks or unticks a value of the filter."""
    fields = "[...document.querySelectorAll('#filter fieldset')].find(one => one.firstChild.textContent === KEY)"
    label = "[...FIELDS.querySelectorAll('label')].find(one => one.textContent.trim().split(' ')[0] === VALUE)"
    code = f"{label}.control.click()".replace("FIELDS", fields)
    browser.run(code.replace("KEY", json.dumps(key)).replace("VALUE", json.dumps(value)))
    browser.settle()


def rows(browser):
    """The places of the runs whose rows of the table are shown."""
    return browser.run("[...document.querySelectorAll('tr[data-run]')].filter(r => !r.hidden).map(r => +r.dataset.run)")


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
def test_a_point_tells_its_run_and_value_and_lights_the_run_up_everywhere(made_page, browser):
    _, runs, _ = made_page
    browser.hover(*dot_of(browser, 0))
    said = tip(browser).splitlines()
    row = browser.run("[...document.querySelectorAll('tr.lit td')].map(cell => cell.textContent)")
    heads = browser.run(
        "[...document.querySelector('tr.lit').closest('table').querySelectorAll('th')].map(one => one.dataset.key)"
    )
    cells = dict(zip(heads, row, strict=True))
    assert said[0] == cells["run"]
    assert said[1] == f"test MSE per pixel {cells['test/mse']}"
    assert said[2] == f"code size {cells['bottleneck.size']}"
    assert len(browser.run("[...document.querySelectorAll('.cover.lit')].map(String)")) == 1
    (place,) = lit(browser)
    assert cells["folder"] == runs[place].name
    curves = browser.run("[...document.querySelectorAll('[data-part=curve].lit')].length")
    assert curves == 1
    browser.hover(2, 2)
    assert tip(browser) == ""
    assert lit(browser) == []


@needs_browser
def test_a_picture_lights_its_run_up_until_it_is_let_go(made_page, browser):
    x, y, width, height = browser.box(".sheet figure[data-run]")
    browser.hover(x + width / 2, y + height / 2)
    place = int(browser.run("document.querySelector('.sheet figure[data-run]').dataset.run"))
    assert lit(browser) == [place]
    assert browser.run("document.querySelector('.plots svg').classList.contains('dimmed')")
    browser.press(x + width / 2, y + height / 2)
    browser.hover(2, 2)
    assert lit(browser) == [place], "kept"
    browser.key("Escape")
    assert lit(browser) == []


@needs_browser
def test_keys_go_from_point_to_point(made_page, browser):
    _, runs, _ = made_page
    browser.run(f"document.querySelector('{FIGURE}').focus()")
    titles = []
    for _ in range(3):
        browser.key("ArrowRight")
        titles.append(tip(browser).splitlines()[0])
    assert titles[0] == "loss=mae: mean of 2 runs"
    assert set(titles[1:]) == {Names(runs).run(run) for run in runs if run.get("loss") == "mae" and run.code_size == 2}
    browser.key("Enter")
    kept = lit(browser)
    browser.run("document.activeElement.blur()")
    assert lit(browser) == kept
    assert [Names(runs).run(runs[place]) for place in kept] == titles[2:]


@needs_browser
def test_the_filter_narrows_table_plots_pictures_and_choices(made_page, browser):
    _, runs, _ = made_page
    fits = [place for place, run in enumerate(runs) if run.get("loss") == "mse" and run.code_size in (2, 8)]
    tick(browser, "loss", "mse")
    tick(browser, "bottleneck.size", "2")
    tick(browser, "bottleneck.size", "8")
    assert sorted(rows(browser)) == fits
    assert browser.run("document.querySelector('#filter summary').textContent") == "Filter: 4 of 12 runs shown"
    assert "about all 12 runs" in browser.run("document.querySelector('#filter').innerText")
    pictured = browser.run(
        "[...document.querySelectorAll('figure[data-run]')].filter(f => !f.hidden).map(f => +f.dataset.run)"
    )
    assert pictured == [place for place in fits if place < 4]
    shown = "filter(one => one.style.display !== 'none').length"
    assert browser.run(f"[...document.querySelectorAll('[data-part=curve]')].{shown}") == 4
    assert browser.run(f"[...document.querySelectorAll('{FIGURE} [data-part=dots] use')].{shown}") == 4
    assert browser.run(f"[...document.querySelectorAll('{FIGURE} [data-part=mean] use')].{shown}") == 2
    assert browser.run("[...document.querySelector('#pair select').options].filter(o => !o.disabled).length") == 5
    covered = browser.run("[...document.querySelectorAll('.cover')].map(one => one.classList.contains('over'))")
    labels = browser.run("[...document.querySelectorAll('[data-part=row]')].map(one => one.style.display === 'none')")
    assert covered == labels
    assert covered.count(False) == 2, "of the best seed of each line and size"
    click(browser, "#filter button")
    assert sorted(rows(browser)) == list(range(12))
    assert "12 of 12" in browser.run("document.querySelector('#filter summary').textContent")


@needs_browser
def test_means_are_those_of_the_runs_that_are_shown(made_page, browser):
    mean, dots = (
        f"document.querySelectorAll('{FIGURE} [data-part={part}][data-mark=\"0\"] use')" for part in ("mean", "dots")
    )
    place = "(use => [+use.getAttribute('x'), +use.getAttribute('y')])"
    first, second = (browser.run(f"{place}({dots}[{i}])") for i in (0, 1))
    assert first[1] > browser.run(f"{place}({mean}[0])")[1] > second[1]
    tick(browser, "seed", "0")
    assert browser.run(f"{place}({mean}[0])") == pytest.approx(first, abs=0.01)
    click(browser, "#filter button")
    assert first[1] > browser.run(f"{place}({mean}[0])")[1] > second[1]


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


@needs_browser
@pytest.mark.parametrize("count", [1, 200])
def test_one_run_and_many_and_none_with_a_picture(chromium, tmp_path, count):
    runs = [made(mse=0.01 + 1e-4 * i, seed=i % 5, optimizer__lr=1 + i // 5) for i in range(count)]
    write_page(runs, [], tmp_path / "page.html", [], (), [sheet_of(runs, Names(runs))[0]] if count == 1 else ())
    chromium.open(tmp_path / "page.html")
    assert not chromium.failures()
    assert len(rows(chromium)) == count
    assert chromium.run("document.querySelector('#filter').hidden") == (count == 1)
    assert chromium.run("document.querySelector('#pair').hidden") == (count == 200)
    if count == 200:  # rates are many numbers: a range
        slide(chromium, '#filter [aria-label="optimizer.lr from"]', 11)
        slide(chromium, '#filter [aria-label="optimizer.lr to"]', 20)
        assert rows(chromium) == list(range(50, 100))


HOSTILE = "</script><img src=x onerror=alert(1)>{{7*7}}'\"\u202e"


@needs_browser
def test_nothing_of_a_run_is_obeyed(chromium, tmp_path):
    for place, name in enumerate((HOSTILE, HOSTILE, "adam")):
        config = {"optimizer.name": name, "loss.reduction": HOSTILE}
        folder = tmp_path / "runs" / f"{place}{HOSTILE.replace('/', '')}"
        write_run(folder, seed=place, metrics={"test/mse": 0.1 + place}, config=config)
    runs, _ = collect([tmp_path / "runs"])
    write_page(runs, [], tmp_path / "page.html", [], (), [sheet_of(runs, Names(runs), title=HOSTILE)[0]])
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script") == text.count("</script>") == 2
    assert "\u202e" not in text
    chromium.open(tmp_path / "page.html")
    assert chromium.run("document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    assert "onerror=alert(1)>{{7*7}}" in chromium.run("document.querySelector('#pair select').textContent")
    assert "onerror=alert(1)" in chromium.run("document.querySelector('#filter').textContent")
    chromium.run(f"document.querySelector('{FIGURE}').focus()")
    chromium.key("ArrowRight")
    assert "onerror=alert(1)" in tip(chromium)
    assert chromium.run("document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    assert not chromium.failures()
    assert not [url for url in chromium.requests[1:] if not url.startswith("data:")]


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(made_page, dark):
    with Browser(width=390, height=800, dark=dark, touch=True) as phone:
        phone.open(made_page[0])
        assert phone.run("document.documentElement.scrollWidth") <= 390
        x, y = dot_of(phone, 1)
        phone.touch(x, y)
        assert "test MSE" in tip(phone)
        box = phone.run("(b => [b.left, b.right])(document.querySelector('.tip').getBoundingClientRect())")
        assert 0 <= box[0] < box[1] <= 390
        colours = phone.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.tip')).color]"
        )
        assert (colours[0] == "rgb(21, 23, 26)") == dark
        assert not phone.failures()


@needs_browser
def test_without_script_everything_is_there_to_be_read(chromium, made_page):
    chromium.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.ask("Page.navigate", url=made_page[0].as_uri())
        chromium.wait("document.readyState === 'complete'")
        assert len(rows(chromium)) == 12
        assert chromium.run("document.querySelectorAll('.sheet img, .plots svg').length") == 5 + 6
        assert chromium.run("[...document.querySelectorAll('#pair, #filter, .script')].every(one => !one.offsetHeight)")
    finally:
        chromium.ask("Emulation.setScriptExecutionDisabled", value=False)
