"""Data: sources, image sets, batches, the datamodule; the scale of pixels and corruptions."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
