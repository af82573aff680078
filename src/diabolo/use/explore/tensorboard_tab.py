"""The tab "Latent" of TensorBoard: the runs below its log folder, and the explorer of those that are chosen.

TensorBoard imports this file when it starts. So it imports nothing that TensorBoard itself does not, until a request
comes. A page is made by `diabolo explore` in a process of its own, which takes its memory with it, and is shown in a
frame that may reach neither TensorBoard nor the network. What a network gives that the page cannot compute itself the
page asks of the tab, and the tab asks it here; see `diabolo.use.explore.workers`. A request names runs below the log
folder, and what their configs name is made only where it is trusted; see `diabolo.runs.trusted_classes`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from diabolo.use.explore.server import DECODE, ENCODE
from diabolo.use.explore.workers import Workers

MOST_RUNS = 4  # beside each other
KEPT = 4  # pages
FOUND = 1000  # runs that are listed
MOST_BYTES = 32 << 20  # of an image or a code that is asked about
NUMBERS = "application/octet-stream"  # a type that a page of another origin cannot send unasked
SECURE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class LatentTab(base_plugin.TBPlugin):
    """A dynamic plugin of TensorBoard, by the entry point `tensorboard_plugins`."""

    plugin_name = "diabolo_latent"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._folder = Path(context.logdir).resolve() if context.logdir else None
        self._pages: dict[tuple[Any, ...], str] = {}
        self._one_at_a_time = threading.Lock()
        self._workers = Workers(MOST_RUNS)

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        return {
            "/tab.js": _app(self._script),
            "/runs": _app(self._runs),
            "/page": _app(self._page),
            "/encode": _app(lambda request: self._asked(request, ENCODE)),
            "/decode": _app(lambda request: self._asked(request, DECODE)),
        }

    def is_active(self) -> bool:
        return self._folder is not None and next(found_below(self._folder), None) is not None

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        return base_plugin.FrontendMetadata(es_module_path="/tab.js", tab_name="Latent")

    def _script(self, _: wrappers.Request) -> wrappers.Response:
        script = (files("diabolo.use.explore") / "tab.js").read_text("utf-8")
        return wrappers.Response(script, content_type="text/javascript; charset=utf-8", headers=SECURE)

    def _runs(self, _: wrappers.Request) -> wrappers.Response:
        """The runs, each with its key, its name as it can be shown and its state."""
        from diabolo.runs.safe_reading import Unreadable, read_state
        from diabolo.runs.terminal import visible

        listed = []
        top = self._folder
        for folder in islice(found_below(top), FOUND) if top else ():
            try:
                state = read_state(folder / "state.json")["state"]
            except Unreadable:
                continue
            name = folder.relative_to(top or folder)
            listed.append({"key": quote(os.fsencode(name)), "name": visible(str(name)), "state": state})
        return wrappers.Response(json.dumps(listed), content_type="application/json", headers=SECURE)

    def _page(self, request: wrappers.Request) -> wrappers.Response:
        """The page of the runs that the request names, or in a sentence why there is none."""
        runs = [self._run(key) for key in request.args.getlist("run")]
        if not runs or len(runs) > MOST_RUNS or None in runs:
            return _refusal(f"name one to {MOST_RUNS} runs below the log folder.")
        with self._one_at_a_time:
            try:
                page = self._made([run for run in runs if run is not None])
            except ValueError as failure:
                return _refusal(str(failure))
        own = re.findall(r"sha256-[\w+/=]+", page)[0]  # the script's, in the page's own policy
        policy = f"default-src 'none'; script-src '{own}'; style-src 'unsafe-inline'"
        headers = {**SECURE, "Content-Security-Policy": policy}
        return wrappers.Response(page, content_type="text/html; charset=utf-8", headers=headers)

    def _asked(self, request: wrappers.Request, what: bytes) -> wrappers.Response:
        """The code of the image, or the image of the code, in the request's body, all float32."""
        keys, length = request.args.getlist("run"), request.content_length
        run = self._run(keys[0]) if len(keys) == 1 else None
        if run is None:
            return _refusal("name one run below the log folder.")
        if request.method != "POST" or request.mimetype != NUMBERS or not length or length > MOST_BYTES or length % 4:
            return _refusal(f"post float32 numbers as {NUMBERS}, {MOST_BYTES >> 20} MiB at most.")
        try:
            made = self._workers.ask(run, _changed(run), what, request.get_data())
        except ValueError as failure:
            return _refusal(str(failure))
        return wrappers.Response(made, content_type=NUMBERS, headers=SECURE)

    def _run(self, key: str) -> Path | None:
        """The run folder of a key; None where it is no run, or does not lie below the log folder."""
        if self._folder is None or "\0" in key or "%00" in key:
            return None
        folder = (self._folder / os.fsdecode(unquote_to_bytes(key))).resolve()
        return folder if folder.is_relative_to(self._folder) and is_run(folder) else None

    def _made(self, runs: list[Path]) -> str:
        """The page, made anew where a run has changed since.

        Raises:
            ValueError: it cannot be made; the sentence of `diabolo explore`.
        """
        key = tuple((str(run), _changed(run)) for run in runs)
        if key not in self._pages:
            with tempfile.TemporaryDirectory(prefix="diabolo-") as folder:
                file = Path(folder) / "page.html"
                given = [*map(str, runs), "--in-tab", "--out", str(file)]
                command = [sys.executable, "-P", "-m", "diabolo", "explore", *given]
                ended = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")
                if ended.returncode:
                    said = ended.stderr.strip().splitlines()
                    raise ValueError(said[-1].removeprefix("diabolo: ") if said else "the page could not be made.")
                while len(self._pages) >= KEPT:
                    del self._pages[next(iter(self._pages))]
                self._pages[key] = file.read_text("utf-8")
        return self._pages[key]


def _app(answer: Callable[[wrappers.Request], wrappers.Response]) -> Callable[..., Any]:
    """The WSGI application of a function from request to response."""
    return lambda environ, start: answer(wrappers.Request(environ))(environ, start)


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "state.json").is_file()


def found_below(folder: Path) -> Iterator[Path]:
    """The run folders at or below a folder, by name; links are not followed."""
    for place, below, _ in os.walk(folder):
        if is_run(Path(place)):
            below.clear()
            yield Path(place)
        below[:] = sorted(name for name in below if not name.startswith("."))


def _changed(run: Path) -> tuple[int, ...]:
    """When the files changed of which the page is made."""
    made_of = (run / "state.json", *sorted((run / "checkpoints").glob("*.ckpt")))
    return tuple(file.stat().st_mtime_ns for file in made_of if file.exists())


def _refusal(sentence: str) -> wrappers.Response:
    return wrappers.Response(sentence, status=400, content_type="text/plain; charset=utf-8", headers=SECURE)
