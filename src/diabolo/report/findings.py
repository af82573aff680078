"""What the figures of runs show beyond chance, in words: the best, the bottleneck that is enough, PCA beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from diabolo.measures.metric_names import Metric, shown_in
from diabolo.report.evidence import BESIDE_PCA, SAME, Difference, Figures, count, to_decide
from diabolo.report.fold import Folded
from diabolo.report.names import Names
from diabolo.report.numbers import figure, with_unit

ENOUGH = 1.05  # "within 5 % of the best"
MOST_NAMED = 5  # runs named in one sentence
ONE_SEED = "On these networks, one seed each, "
WINNER = "the best"
LIMIT = ("a size", "1.05 times the best")
CHOSEN = {"val": "chosen on validation images, measured on test images", "test": "chosen and measured on test images"}


def best(rows: Sequence[Folded], names: Names, figures: Figures) -> list[str]:
    """The best of each metric, one sentence for metrics that agree; chosen on validation where every run has that."""
    found: dict[tuple[int, str, str], list[Metric]] = {}
    for metric in shown_in("words"):
        measured = [row for row in rows if row.values(metric.key)]
        if len(measured) < 2:
            continue
        split = "val" if all(row.values(f"val/{metric.name}") for row in measured) else "test"
        pick = max if metric.better == "max" else min
        means = [row.mean(f"{split}/{metric.name}") or 0.0 for row in measured]
        winner = measured[means.index(pick(means))]
        others = sorted((row for row in measured if row is not winner), key=names.place)
        beside = _beside(winner, others, metric, names, figures)
        found.setdefault((rows.index(winner), split, beside), []).append(metric)
    return [
        f"Best {conjoined([metric.title for metric in metrics])} ({CHOSEN[split]}): {names.setting(rows[i])}, with "
        + conjoined([f"{metric.title} {mean_of(rows[i], metric.key)}" for metric in metrics])
        + (f" over {seeds} seeds" if (seeds := len(rows[i].values(metrics[0].key))) > 1 else "")
        + f", {beside}."
        for (i, split, beside), metrics in found.items()
    ]


def _beside(winner: Folded, others: Sequence[Folded], metric: Metric, names: Names, figures: Figures) -> str:
    """How sure it is that the winner is the best."""
    groups = [figures.differences(winner, row, (WINNER, names.setting(row))) for row in others]
    figures.decide(groups)
    mine = SAME.get(metric.name, metric.name)
    found = [next((one for one in group if one.metric == mine), None) for group in groups]
    known = [one for one in found if one is not None]
    single = [one for one in known if one.mean.seeds == 1]
    of = f"best of {len(others) + 1}"
    if single and all(row.n == 1 for row in (winner, *others)):
        return f"{of} with one seed each: other seeds may give another order ({to_decide(*single)})"
    apart = [names.setting(row) for row, one in zip(others, found, strict=True) if one is None]
    open_ones = [one.second for one in known if one.mean.seeds > 1 and one.better is None]
    kinds = (
        ("not better on test images than", [one.second for one in known if one.better == one.second]),
        ("within the noise of", open_ones),
        ("with one seed in common, which decides nothing, beside", [one.second for one in single]),
        ("not compared with", apart),
    )
    parts = [f"{how} {count(len(those), 'other')} ({listed(those)})" for how, those in kinds if those]
    return f"{of}, {'; '.join(parts) or 'beyond chance'}{_weak(known)}"


def _weak(differences: Sequence[Difference]) -> str:
    """The words behind verdicts of which one stands on two seeds."""
    return "; two seeds are weak evidence" if any(one.weak and one.better for one in differences) else ""


def enough(rows: Sequence[Folded], figures: Figures) -> list[str]:
    """The smallest code whose test MSE comes within 5 % of the lowest."""
    measured = [
        (row.code_size, mse, row) for row in rows if row.code_size and (mse := row.mean("test/mse")) is not None
    ]
    sizes: dict[int, tuple[float, Folded]] = {}  # the best of each
    for size, mse, row in sorted(measured, key=lambda one: one[:2]):
        sizes.setdefault(size, (mse, row))
    if len(sizes) < 2:
        return []
    lowest, best_row = min(sizes.values(), key=lambda one: one[0])
    size = next(size for size, (mse, _) in sizes.items() if mse <= ENOUGH * lowest)
    said = (
        f"smallest bottleneck within 5 % of the lowest test MSE ({figure(lowest)}) is {size} ({figure(sizes[size][0])})"
        + (", the largest that was tried: larger ones may still be better" if size == max(sizes) else "")
    )
    asked = {tried: row for tried, (_, row) in sizes.items() if tried <= size and row is not best_row}
    found = {tried: figures.difference(row, best_row, LIMIT, "mse", ENOUGH) for tried, row in asked.items()}
    margins = {tried: one for tried, one in found.items() if one is not None}
    figures.decide([[one] for one in margins.values()])
    single = [one for one in margins.values() if one.mean.seeds == 1]
    if single or best_row.n == 1:
        return [f"{ONE_SEED}the {said}{f'; {to_decide(*single)}' if single else ''}."]
    open_ones = [tried for tried, one in found.items() if one is None or one.better is None]
    return [f"The {said}{_open_sizes(open_ones, size)}{_weak([*margins.values()])}."]


def _open_sizes(open_ones: Sequence[int], size: int) -> str:
    """What the noise leaves open about the smallest size that is enough."""
    parts = [f"{size} may be too small"] * (size in open_ones)
    if smaller := [str(one) for one in open_ones if one < size]:
        parts.insert(0, f"{conjoined(smaller)} may be enough, too")
    return f"; within the noise, {' or '.join(parts)}" if parts else ""


def beside_pca(rows: Sequence[Folded], names: Names, figures: Figures) -> list[str]:
    """Where PCA of the same size has the lower test MSE: for single settings, and for all of a size."""
    found = [(row, one) for row in rows if (one := figures.beside_pca(row)) is not None]
    figures.decide([[one] for _, one in found])
    sizes = Counter(row.code_size for row, _ in found)
    single = [(row, one) for row, one in found if one.mean.seeds == 1]
    several = [(row, one) for row, one in found if one.mean.seeds > 1]
    said = [
        f"{ONE_SEED}{sentence if sentence.startswith('PCA') else sentence[0].lower() + sentence[1:]}"
        for sentence in _lower(single, sizes, names)
    ]
    if single:
        said[-1] = f"{said[-1][:-1]}; {to_decide(*(one for _, one in single))}."
    sure = _lower(several, sizes, names)
    if sure and (weak := _weak([one for _, one in several])):
        sure[-1] = f"{sure[-1][:-1]}{weak}."
    return said + sure


def _lower(found: Sequence[tuple[Folded, Difference]], sizes: Counter[int | None], names: Names) -> list[str]:
    """Who has the lower error, network or PCA: beyond chance, or with one seed as it is.

    Args:
        found: settings with what they differ from PCA.
        sizes: how many settings of each size there are, those with another number of seeds included.
    """
    verdicts = [(row, one.ahead if one.mean.seeds == 1 else one.better) for row, one in found]
    mine = Counter(row.code_size for row, _ in verdicts)
    if verdicts and mine == sizes and all(lower == BESIDE_PCA[0] for _, lower in verdicts):
        every = "Every network has" if len(verdicts) > 1 else "The network has"
        return [f"{every} a lower test MSE than PCA of its own size."]
    lost = [
        size
        for size in sorted(size for size in mine if size is not None and mine[size] == sizes[size])
        if all(lower == BESIDE_PCA[1] for row, lower in verdicts if row.code_size == size)
    ]
    said = []
    if lost:
        at = f"At bottleneck size{'s' * (len(lost) > 1)} {conjoined(list(map(str, lost)))}"
        said.append(f"{at}, PCA has a lower test MSE than every run.")
    won = [row for row, lower in verdicts if lower == BESIDE_PCA[1] and row.code_size not in lost]
    beaten = [row for row, lower in verdicts if lower == BESIDE_PCA[0]] if mine != sizes else []
    kinds = {"has a lower test MSE than": won, "has a higher test MSE than": beaten}
    kinds["is within the noise of"] = [row for row, lower in verdicts if lower is None]
    for how, alike in kinds.items():
        if alike:
            said.append(f"PCA of the same size {how} {listed([_with_pca(row, names) for row in alike])}.")
    return said


def _with_pca(row: Folded, names: Names) -> str:
    mse, pca = (figure(row.mean(key) or 0.0) for key in ("test/mse", "test/pca_mse"))
    return f"{names.setting(row)} ({mse}, PCA {pca})"


def mean_of(row: Folded, key: str) -> str:
    """A metric's mean over seeds, with deviation and unit."""
    return with_unit(key, row.mean(key) or 0.0, row.deviation(key))


def conjoined(words: Sequence[str]) -> str:
    """a, b and c."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def listed(named: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(named) - MOST_NAMED
    return f"{', '.join(named[:MOST_NAMED])} and {more} more" if more > 0 else conjoined(named)
