"""Many runs at once: sweeps that the same command continues, searches, and the pool of processes."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
