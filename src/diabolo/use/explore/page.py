"""One HTML page in which the models of runs are explored; it needs no other file and no network."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from diabolo.plotting import COLOURS, ON_BLACK
from diabolo.runs.pages import in_script, policy
from diabolo.runs.terminal import visible
from diabolo.use.explore.content import content
from diabolo.use.explore.script import joined

if TYPE_CHECKING:
    from diabolo.use.trained import Trained

START = '\nstart(JSON.parse(document.getElementById("data").textContent));\n'


def page_of(runs: Sequence[Trained], most_images: int = 1000, half: bool = False, in_tab: bool = False) -> str:
    """The page, as text; see `diabolo.use.explore.content.content`.

    What comes from run folders is data in it: text is escaped, and the page's policy lets the browser run this script
    alone and fetch nothing.
    """
    held = content(runs, most_images, half, in_tab)
    script = Markup(joined() + START)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("diabolo.use.explore") / "page.html").read_text("utf-8"))
    shape = held["image"]["shape"]
    return template.render(
        title=" and ".join(visible(run.run.path.name) for run in runs),
        policy=policy(script),
        colours=(COLOURS, ON_BLACK),
        images=f"{len(held['labels']):,}",
        shape="x".join(map(str, shape)),
        made=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        command=visible(shlex.join(["diabolo", *sys.argv[1:]])),
        version=f"diabolo {version('diabolo')}, torch {version('torch')}",
        asking=any(model["asked"] is not None for model in held["models"]),
        precision=16 if half else 32,
        data=in_script(held),
        script=script,
    )
