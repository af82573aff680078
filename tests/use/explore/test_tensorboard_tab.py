"""TensorBoard's tab: found by its entry point, light to import, and reading only below the log folder."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from werkzeug.serving import make_server
from werkzeug.test import Client

from browser import Browser, needs_browser
from diabolo.use.explore.tensorboard_tab import LatentTab, found_below
from support import ROOT
from tensorboards import PREFIX, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own


@pytest.fixture
def logs(compared, tmp_path) -> Path:
    """A log folder with two runs, one of them of a hostile name, and a run beside it."""
    for name in ("logs/a/mse_4", "logs/<b>#?&", "beside"):
        shutil.copytree(compared / "mse_4", tmp_path / name)
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "beside")
    return tmp_path / "logs"


@pytest.fixture
def client(logs) -> Client:
    return Client(serve(logs))


IMPORTED = """
import sys
import tensorboard.plugins.base_plugin, werkzeug.wrappers
before = set(sys.modules)
import diabolo.use.explore.tensorboard_tab
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_the_tab_is_light_until_it_is_opened():
    ended = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, cwd=ROOT)
    assert set(ended.stdout.split()) - set(sys.stdlib_module_names) == {"diabolo"}, ended


def test_it_lists_the_runs_below_the_log_folder(client):
    listing = json.loads(client.get("/data/plugins_listing").data)["diabolo_latent"]
    assert listing["enabled"]
    assert listing["tab_name"] == "Latent"
    runs = json.loads(client.get(f"{PREFIX}/runs").data)
    assert [(run["name"], run["state"]) for run in runs] == [("<b>#?&", "done"), ("a/mse_4", "done")]
    assert client.get(f"{PREFIX}/tab.js").status_code == 200


def test_a_folder_without_runs_has_no_tab(tmp_path):
    tab = LatentTab(type("Context", (), {"logdir": str(tmp_path)}))
    assert not tab.is_active()
    assert not LatentTab(type("Context", (), {"logdir": ""})).is_active()
    assert not list(found_below(tmp_path))


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["../beside"],
        ["link"],
        ["a"],
        ["a/mse_4/../../../beside"],
        ["%2e%2e/beside"],
        ["/etc"],
        ["a%00"],
        ["a/mse_4"] * 5,
    ],
    ids=str,
)
def test_requests_read_only_inside_the_log_folder(client, logs, keys):
    keys = [*keys, str(logs.parent / "beside")] if keys == ["/etc"] else keys
    answer = client.get(f"{PREFIX}/page?{'&'.join(f'run={quote(key)}' for key in keys)}")
    assert answer.status_code == 400
    assert answer.get_data(as_text=True) == "name one to 4 runs below the log folder."


def test_a_page_is_made_once_and_again_when_the_run_has_changed(client, logs, monkeypatch):
    made = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **more: made.append(args) or run(*args, **more))
    address = f"{PREFIX}/page?run=a/mse_4&run={quote(quote('<b>#?&'))}"
    answer = client.get(address)
    assert answer.status_code == 200, answer.data
    assert b"<h1>mse_4 and &lt;b&gt;#?&amp;</h1>" in answer.data
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert client.get(address).data == answer.data
    assert len(made) == 1
    state = logs / "a/mse_4" / "state.json"
    state.write_text(state.read_text() + " ")
    assert client.get(address).status_code == 200
    assert len(made) == 2


def test_what_cannot_be_explored_and_what_is_not_trusted_is_said(client, logs, tmp_path):
    config = logs / "a/mse_4" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("diabolo.training.MSE", "shutil.copy"))
    answer = client.get(f"{PREFIX}/page?run=a/mse_4")
    assert answer.status_code == 400
    assert "names 'shutil.copy' at `loss._target_`" in answer.get_data(as_text=True)
    shutil.rmtree(logs / "a/mse_4" / "checkpoints")
    config.write_text(text)
    assert "has no checkpoint yet" in client.get(f"{PREFIX}/page?run=a/mse_4").get_data(as_text=True)


@needs_browser
def test_the_tab_opens_the_explorer_in_a_browser(logs):
    server = make_server("127.0.0.1", 0, serve(logs), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Browser() as browser:
            browser.open(f"http://127.0.0.1:{server.port}/data/plugin_entry.html?name=diabolo_latent")
            assert browser.run("[...document.querySelectorAll('label')].map(l => l.innerText.trim())") == [
                "<b>#?&",
                "a/mse_4",
            ]
            browser.run("document.querySelectorAll('input').forEach(box => box.click())")
            browser.run("document.querySelector('button').click()")
            browser.wait("document.querySelector('iframe').src")
            browser.wait("document.querySelector('[role=status]').textContent === ''")
            with browser.within_frame():
                browser.wait("document.body && 'ready' in document.body.dataset")
                assert browser.run("document.querySelectorAll('.stage .card').length") == 4, (
                    "the image, two runs and PCA"
                )
                assert browser.run("document.querySelector('.legend').children.length") > 1
            assert not browser.failures()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
