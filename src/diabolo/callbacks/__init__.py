"""Callbacks: pictures and figures of a run; see README.md here for a table by purpose."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
