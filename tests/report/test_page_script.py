"""The page in a browser: it follows what is pointed at and filtered, fits a phone, and obeys nothing."""

import pytest

from browser import Browser, needs_browser
from compared_pages import FIGURE, dot_of, lit, rows, sheet_of, tick, tip
from diabolo.report.collect import collect
from diabolo.report.names import Names
from diabolo.report.page import write_page
from made_runs import made, write_run
from pages import click, slide


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
