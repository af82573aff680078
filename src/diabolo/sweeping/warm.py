"""Imported by the process that all jobs of a sweep are forked from: what every job would do once for itself.

Hydra's and OmegaConf's grammars are read on first use, in a tenth of a second; a job that is forked afterwards has
them.
"""

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from diabolo.runs.config import compose_config

compose_config(["seed=1", "model.hidden=[2,3]", "optimizer.lr=1e-3"])
GlobalHydra.instance().clear()
HydraConfig.instance().cfg = None
