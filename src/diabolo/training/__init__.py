"""Training: losses, penalties, the LightningModules, schedules, the Trainer and what it records."""

from diabolo.rooms import lazy

__getattr__, __dir__ = lazy(__name__)
