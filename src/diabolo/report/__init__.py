"""The comparison of runs: words, tables, plots, pictures and one page."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
