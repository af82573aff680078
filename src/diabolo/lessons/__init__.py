"""Lessons: shapes and sizes worked out for reading, and layers written as definitions."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
