"""diabolo: config-driven experiments with autoencoders on images."""

from diabolo.runs import load

__all__ = ["load"]
