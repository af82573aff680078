"""Sweeping: many runs at once; grids that can be issued again, searches, the worker pool."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
