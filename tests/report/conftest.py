"""What the tests of this room share: a page of a comparison, open in a browser."""

import pytest

from browser import Browser
from compared_pages import sheet_of, with_history
from diabolo.report.names import Names
from diabolo.report.page import write_page
from made_runs import sweep


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
