"""What a trained model is for: encode, restore, blend, draw new images, find near ones."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
