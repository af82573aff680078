"""Networks: encoders and decoders by family, bottlenecks, and the autoencoder and classifier that they make."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
