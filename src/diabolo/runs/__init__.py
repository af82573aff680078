"""Runs: from a config to a finished run folder, and back from the folder."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
