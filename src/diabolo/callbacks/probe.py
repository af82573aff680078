"""What the best weights' codes know of the labels, in the run's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lightning import Callback, LightningModule, Trainer

from diabolo.callbacks.pictures import asking, data_of
from diabolo.errors import check_int
from diabolo.measures.probes import Probe, linear_accuracy

if TYPE_CHECKING:
    from diabolo.training.learner import Learner


class LabelProbe(Callback):
    """Logs `test/linear_probe_accuracy`, the accuracy of logistic regression on the best weights' codes; see
    `diabolo.measures.probes`. The codes are those of the clean images.

    Beside it stand the accuracies on the pixels and on PCA codes of the same size, by logistic regression and by the
    nearest neighbours (to be compared with `test/knn_accuracy`): `test/pixels_linear_probe_accuracy`,
    `test/pixels_knn_accuracy`, `test/pca_linear_probe_accuracy` and `test/pca_knn_accuracy`.

    Args:
        most_codes: the most training codes to fit on, spread evenly over them.
        neighbours: k of the k nearest neighbours.
        baselines: whether to measure pixels and PCA, too.

    Raises:
        UserError: before the training, fewer than two labels or `neighbours` labelled images.
    """

    def __init__(self, most_codes: int = 10_000, neighbours: int = 5, baselines: bool = True) -> None:
        self.most_codes = check_int("most_codes", most_codes, 2)
        self.neighbours = check_int("neighbours", neighbours)
        self.baselines = baselines

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Probe(data_of(trainer), self.most_codes, self.neighbours)  # to refuse unlabelled data before the training

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        probe = Probe(data_of(trainer), self.most_codes, self.neighbours)
        with asking(pl_module), trainer.precision_plugin.forward_context():
            codes = probe.codes(pl_module)
        figures = {"linear_probe_accuracy": linear_accuracy(*codes)}
        if self.baselines:
            network: Any = cast("Learner", pl_module).trained()
            for name, vectors in (("pca", probe.pca(network.code_size)), ("pixels", probe.pixels())):
                figures |= {f"{name}_{figure}": value for figure, value in probe.measure(*vectors).items()}
        pl_module.log_dict({f"test/{name}": value for name, value in figures.items()}, rank_zero_only=True)
