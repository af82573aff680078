"""diabolo: config-driven experiments with autoencoders on images."""

from diabolo.runs.folder import load

__all__ = ["load"]
