"""A page of a comparison, made by hand, and what a browser shows of it."""

import json

import numpy as np

from diabolo.report.sheet import Row, Sheet, strip
from pages import choose

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
