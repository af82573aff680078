"""What the HTML pages on runs share: what comes from run folders is data in them, and they need no other file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from typing import Any

from markupsafe import Markup

IMPORT = re.compile(r"^import [^;]+;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.MULTILINE)


def joined(folder: Traversable, modules: Iterable[str]) -> str:
    """JavaScript modules of a folder as one, in this order, without what they say to each other."""
    texts = (folder.joinpath(f"{name}.js").read_text("utf-8") for name in modules)
    return "\n".join(EXPORT.sub("", IMPORT.sub("", text)) for text in texts)


def policy(script: str, images: bool = False) -> str:
    """What the browser may do: run this script, show the `images` that stand in the page, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'" + ("; img-src data:" if images else "")
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def in_script(value: Any) -> Markup:
    """A value as JSON within a <script>, which none of its texts can end."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # what is not ASCII is escaped already
