"""Networks of one's own in TensorBoard's tab: the page shows what torch computes for it, or says why not."""

import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from werkzeug.serving import make_server
from werkzeug.test import Client

from browser import Browser, needs_browser
from diabolo.data.pixels import unit_interval
from diabolo.runs.loading import load
from diabolo.use.explore.tensorboard_tab import MOST_BYTES, NUMBERS
from diabolo.use.trained import open_trained
from javascript import needs_node, node
from own_parts import train_own
from pages import check_text, choose, click, code, drop, grey, pixels, slide
from tensorboards import PREFIX, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own


@pytest.fixture(scope="module")
def logs(compared, tmp_path_factory) -> Path:
    """A log folder with a run of own parts and one of diabolo's, and one beside it."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(compared / "mse_4", folder / "logs" / "plain")
    shutil.copytree(compared / "mse_4", folder / "beside")
    return train_own(folder).parent


@pytest.fixture
def own(logs, monkeypatch):
    """Its model; the current folder is the one in which it was trained."""
    monkeypatch.chdir(logs.parent)
    monkeypatch.setattr(sys, "path", [*sys.path, str(logs.parent)])
    yield open_trained(logs / "own")
    sys.modules.pop("ownparts", None)


def test_a_page_without_a_server_says_that_it_cannot_compute_own_parts(diabolo, logs, monkeypatch, tmp_path):
    def made(*more):
        monkeypatch.chdir(logs.parent)
        try:
            return diabolo("explore", "logs/own", "--images", "8", "--out", str(tmp_path / "page.html"), *more)
        finally:
            sys.modules.pop("ownparts", None)

    refused = made()
    assert refused.code == 2
    assert "cannot be explored: the page cannot compute Decoder" in refused.err
    assert made("--in-tab").code == 0


def test_only_numbers_for_a_run_below_the_log_folder_are_taken(logs, monkeypatch):
    monkeypatch.chdir(logs.parent)
    client = Client(serve(logs))

    def asked(run, data=bytes(16), what="decode", method="POST", content_type=NUMBERS, **more):
        answer = client.open(f"{PREFIX}/{what}{run}", method=method, data=data, content_type=content_type, **more)
        return answer.status_code, answer.get_data() if answer.status_code == 200 else answer.get_data(as_text=True)

    outside = ("?run=../beside", "?run=%2e%2e/beside", f"?run={logs.parent / 'beside'}")
    for run in (*outside, "", "?run=nothing", "?run=a%00", "?run=own&run=plain"):
        assert asked(run) == (400, "name one run below the log folder."), run
    rule = (400, f"post float32 numbers as {NUMBERS}, 32 MiB at most.")
    assert asked("?run=plain", method="GET") == rule
    assert asked("?run=plain", content_type="text/plain") == rule, "which any page could send"
    assert asked("?run=plain", data=b"") == rule
    assert asked("?run=plain", data=bytes(15)) == rule
    assert asked("?run=plain", data=bytes(MOST_BYTES + 4)) == rule
    assert asked("?run=plain", data=bytes(12)) == (400, "its network takes 4 numbers, but was given 12 bytes.")
    value = torch.tensor([[0.5, -1.0, 0.0, 2.0]])
    status, answer = asked("?run=plain", data=value.numpy().tobytes())
    assert status == 200
    with torch.no_grad():
        wanted = load(logs / "plain").decode(value).flatten()
    np.testing.assert_allclose(np.frombuffer(answer, "<f4"), wanted, rtol=1e-5, atol=1e-6)


QUEUE = """
const asked = [], told = [], answers = [];
globalThis.window = {};
globalThis.parent = { postMessage: (question, _, [port]) => asked.push({ ...question, port }) };
const network = new AskedNetwork(1, "decode", 2, sentence => told.push(sentence));
const ask = (number, asker) => network.run(Float32Array.of(number), asker).then(come => answers.push([number, come]));
for (const number of [1, 2, 3, 4]) ask(number, "drag");
ask(9, "other");
const replies = [Float32Array.of(5, 6), Float32Array.of(7), "not today."];
for (const [i, reply] of replies.entries()) {
  asked[i].port.postMessage(reply);
  while (asked.length < Math.min(i + 2, 3) || answers.length <= i) await new Promise(done => setTimeout(done, 1));
}
answer({
  asked: asked.map(({ run, what, values }) => [run, what, ...values]),
  answers: answers.map(([number, come]) => [number, come && [...come]]),
  told,
});
"""


@needs_node
def test_of_questions_that_wait_the_latest_alone_is_asked_and_a_damaged_answer_is_told():
    got = node(QUEUE, modules=("asking",))
    assert got["asked"] == [[1, "decode", 1], [1, "decode", 4], [1, "decode", 9]]
    assert got["answers"] == [[1, [5, 6]], [4, None], [9, None]]
    first, *later = got["told"]
    assert first == "waits for TensorBoard's first answer."
    assert later == ["", "TensorBoard's answer is not what was asked for.", "not today."]


UNTIL = "(async () => { while (!(%s)) await new Promise(done => setTimeout(done, 20)); })()"
STRANGER = """new Promise(done => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = ({data}) => done(data);
    postMessage({run: 0, what: "decode", values: new Float32Array(4)}, "*", [port2]);
    setTimeout(() => done("nothing"), 1000);
})"""


@needs_browser
def test_the_tab_shows_what_torch_computes_for_own_parts(logs, own):
    server = make_server("127.0.0.1", 0, app := serve(logs), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    images = unit_interval(own.images().images("test", [0, 1, 2]))
    picture = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)

    def check(browser, wanted, what="decoded"):
        """Waits until the canvas of the run shows what torch gives: the last thing that was asked for."""
        browser.settle()
        for _ in range(400):
            shown, expected = pixels(browser, what, 0), grey(wanted())
            if shown.shape == expected.shape and np.abs(shown.astype(int) - expected).max() <= 1:  # it has been drawn
                return
            browser.run("new Promise(done => setTimeout(done, 50))")
        np.testing.assert_allclose(shown, grey(wanted()), atol=1)

    try:
        with Browser() as browser, torch.no_grad():
            browser.open(f"http://127.0.0.1:{server.port}/data/plugin_entry.html?name=diabolo_latent")
            browser.run("document.querySelectorAll('input').forEach(box => box.click())")
            browser.run("document.querySelector('button').click()")
            browser.wait("document.querySelector('iframe').src")
            with browser.within_frame():
                browser.wait("document.body && 'ready' in document.body.dataset")
                said = check_text(browser, 3)
                assert "TensorBoard decodes for it, as the page cannot compute Decoder" in said
                assert all(float(word) < 1e-4 for word in said.split("PyTorch ")[1].split()[:1])
                assert browser.run("document.querySelector('#told').innerText") == ""
                check(browser, lambda: own.module.reconstruct(images[:1]))
                click(browser, '[aria-label="Next test image"]')
                check(browser, lambda: own.module.reconstruct(images[1:2]))
                slide(browser, "#sliders input", 0.25)
                check(browser, lambda: own.module.decode(code(browser)))
                drop(browser, Image.fromarray(picture))
                check(browser, lambda: own.module.reconstruct(torch.from_numpy(picture)[None, None]))
                click(browser, "#blend .row button")
                browser.wait("document.querySelectorAll('.chip').length === 1")
                click(browser, '[aria-label="Next test image"]')
                click(browser, "#blend .row button")
                both = torch.from_numpy(picture)[None, None], images[2:]
                codes = [own.module.encode(unit_interval(one)) for one in both]
                check(browser, lambda: own.module.decode(sum(codes) / 2), "blend")
                # what is decoded on the map of the other model is encoded by this one
                choose(browser, "#active", 1)
                slide(browser, "#sliders input", 0.1)
                browser.run("document.querySelector('.map').focus()")
                browser.key("ArrowRight")
                moved = open_trained(logs / "plain").module.decode(code(browser)).clamp(0, 1)
                check(browser, lambda: own.module.reconstruct(moved))
                # and what fails is said, until it works again
                assert not browser.failures()
                choose(browser, "#active", 0)
                browser.run("document.querySelectorAll('#sliders input').forEach(s => s.max = 1e4)")
                for unit in range(4):
                    slide(browser, f"#sliders label:nth-child({unit + 1}) input", 1000)
                told = "document.querySelector('#told').innerText"
                browser.run(UNTIL % "document.querySelector('.stage').innerText.includes('MSE: no answer')")
                assert browser.run(told) == "own: its network fails: ArithmeticError: too far"
                click(browser, '[aria-label="Mean code"]')
                check(browser, lambda: own.module.decode(code(browser)))
                assert browser.run(told) == ""
            assert browser.run(STRANGER) == "nothing", "the tab answers its frame alone"
            assert {"400 (BAD REQUEST)" in failure for failure in browser.failures()} == {True}, browser.failures()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        del app
