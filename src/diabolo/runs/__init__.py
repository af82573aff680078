"""Runs: from a config to a finished run folder, and back from the folder."""

from diabolo.rooms import called, lazy

__getattr__, __dir__ = lazy(__name__)
called(__name__, "diabolo.report.inline")  # diabolo.runs(FOLDER)
