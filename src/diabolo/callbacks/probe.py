"""What the kept weights' code knows of the labels, in the run's own metrics."""

from __future__ import annotations

from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.pictures import asking, data_of
from diabolo.errors import check_int
from diabolo.measures.probes import Probe, linear_accuracy


class LabelProbe(Callback):
    """Logs `test/linear_probe_accuracy` of the best weights' codes; see `diabolo.measures.probes`. Beside it stand
    those of the pixels and of PCA codes of the same size, and their kNN accuracies, to be compared with
    `test/knn_accuracy`:
    `test/pixels_linear_probe_accuracy`, `test/pixels_knn_accuracy`, `test/pca_linear_probe_accuracy`, ...

    Args:
        most_codes: fit on so many of the training codes at most, spread evenly over them.
        neighbours: k of the k nearest neighbours.
        baselines: whether to measure pixels and PCA, too.
    """

    def __init__(self, most_codes: int = 10_000, neighbours: int = 5, baselines: bool = True) -> None:
        self.most_codes = check_int("most_codes", most_codes, 2)
        self.neighbours = check_int("neighbours", neighbours)
        self.baselines = baselines

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Probe(data_of(trainer), self.most_codes, self.neighbours)  # refuses unlabelled data before the training

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        probe = Probe(data_of(trainer), self.most_codes, self.neighbours)
        with asking(pl_module), trainer.precision_plugin.forward_context():
            codes = probe.codes(pl_module)
        figures = {"linear_probe_accuracy": linear_accuracy(*codes)}
        if self.baselines:
            size: int = pl_module.trained().code_size  # type: ignore[operator]
            for name, vectors in (("pca", probe.pca(size)), ("pixels", probe.pixels())):
                figures |= {f"{name}_{figure}": value for figure, value in probe.measure(*vectors).items()}
        pl_module.log_dict({f"test/{name}": value for name, value in figures.items()}, rank_zero_only=True)
