"""Libraries that only some formats need, imported where they are used."""

from importlib import import_module
from typing import Any

from diabolo.errors import UserError


def extra(module: str, name: str) -> Any:
    """A module of the extra `name` of pyproject.toml.

    Raises:
        UserError: it is not installed; the message holds the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError as missing:
        library = module.partition(".")[0]
        if str(missing.name).partition(".")[0] != library:  # it is there, and lacks something itself
            raise
        raise UserError(f"{library} is not installed: uv sync --extra {name}, or pip install {library}.") from missing
