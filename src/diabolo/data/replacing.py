"""A file or folder takes the place of another one, also where someone is reading that one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

IN_USE = sys.platform == "win32"  # there, what anyone has open can be neither replaced nor renamed
PATIENCE = 5.0  # seconds: a reader of ours closes its file at once, a virus scanner soon


def replace(draft: Path, target: Path) -> None:
    """As `os.replace`; on Windows it waits until `target` is closed.

    Raises:
        OSError: it cannot be replaced, or is still open after `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(draft, target)
        except PermissionError:
            if not IN_USE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
