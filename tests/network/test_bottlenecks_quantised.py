"""Vector and finite scalar quantisation: codes out of the codebook, figures against plain counts."""

import math
import sys
from collections import Counter

import pytest
import torch
import vector_quantize_pytorch

from diabolo.errors import UserError
from diabolo.network.bottlenecks.quantised import FiniteScalar, VectorQuantised

FEATURES = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def learnt() -> VectorQuantised:
    """A codebook of 16 pairs after 50 steps on the same features."""
    torch.manual_seed(0)
    bottleneck = VectorQuantised(8, entries=16, dim=2, decay=0.9)
    for _ in range(50):
        bottleneck(FEATURES)
    return bottleneck.eval()


def plain_nearest(features: torch.Tensor, codebook: torch.Tensor) -> list[int]:
    return [
        min(range(len(codebook)), key=lambda i: float((vector - codebook[i]).square().sum()))
        for vector in features.reshape(-1, codebook.shape[1])
    ]


def test_every_pair_becomes_its_nearest_entry(learnt):
    code, penalty = learnt(FEATURES)
    codebook = learnt.quantiser.codebook
    expected = codebook[plain_nearest(FEATURES, codebook)].reshape(64, 8)
    assert torch.equal(code, expected)
    assert float(penalty) == pytest.approx(0.25 * float((FEATURES - expected).square().mean()), rel=1e-5)
    assert torch.equal(learnt.nearest(code), code)


def test_training_gives_the_same_codes_and_passes_gradients_straight_through(learnt):
    features = FEATURES.clone().requires_grad_()
    before = learnt.quantiser.codebook.clone()
    code, penalty = learnt.train()(features)
    torch.testing.assert_close(code, before[plain_nearest(FEATURES, before)].reshape(64, 8))
    (gradient,) = torch.autograd.grad(code.sum(), features, retain_graph=True)
    assert torch.equal(gradient, torch.ones_like(gradient))
    (pull,) = torch.autograd.grad(penalty, features)
    torch.testing.assert_close(pull, 2 * 0.25 * (FEATURES - code.detach()) / FEATURES.numel())


def test_the_entries_are_moving_averages_of_what_they_stand_for():
    torch.manual_seed(0)
    bottleneck = VectorQuantised(2, entries=2, dim=2, decay=0.9, replace_below=0)
    vectors = torch.tensor([[1.0, 0.0], [1.2, 0.0], [-1.0, 0.0], [-1.2, 0.0]])
    for _ in range(3):
        bottleneck(vectors)
    (low, _), (high, _) = bottleneck.quantiser.codebook.sort(0).values.tolist()
    assert (low, high) == pytest.approx((-1.1, 1.1), abs=1e-3)


def test_the_first_batch_fills_the_codebook_with_its_vectors():
    torch.manual_seed(0)
    bottleneck = VectorQuantised(8, entries=16, dim=2)
    bottleneck(FEATURES)
    distances = torch.cdist(bottleneck.quantiser.codebook, FEATURES.reshape(-1, 2)).min(1).values
    assert float(distances.max()) < 0.2  # some are vectors of the batch, the others means of a few near ones
    assert float(bottleneck.eval().diagnostics(FEATURES)["usage"]) > 0.75


def test_entries_that_are_never_replaced_begin_as_vectors_of_the_first_batches_too():
    torch.manual_seed(0)
    bottleneck = VectorQuantised(8, entries=64, dim=2, replace_below=0)
    for _ in range(6):
        bottleneck(FEATURES[:4])  # 16 vectors, which fill in as many entries at a time
    before = bottleneck.quantiser.codebook.clone()
    assert torch.cdist(before, FEATURES[:4].reshape(-1, 2)).min(1).values.max() < 0.5
    assert not bool((before == 0).all(1).any())
    for _ in range(20):
        bottleneck(FEATURES + 100)
    moved = (bottleneck.quantiser.codebook - before).norm(dim=1) > 1
    assert 1 <= int(moved.sum()) <= 2, "what is far from all entries moves the nearest of them, and replaces none"


def test_the_library_still_has_the_parts_of_a_codebook_that_begins_as_unused():
    quantiser = VectorQuantised(8, entries=16, dim=2, replace_below=0.5).quantiser
    sizes = {name: buffer for name, buffer in quantiser.named_buffers() if name.endswith(("cluster_size", "embed_avg"))}
    assert len(sizes) == 2
    assert not any(bool(buffer.any()) for buffer in sizes.values())
    assert quantiser._codebook.reset_cluster_size == 0.5


@pytest.mark.parametrize("part", ["reset_cluster_size", "cluster_size"])
def test_a_codebook_of_other_parts_begins_as_the_library_has_it(part, monkeypatch):
    own = vector_quantize_pytorch.VectorQuantize

    def other(*arguments, **options):
        made = own(*arguments, **options)
        delattr(made._codebook, part)
        return made

    monkeypatch.setattr(vector_quantize_pytorch, "VectorQuantize", other)
    bottleneck = VectorQuantised(8, entries=16, dim=2).eval()
    assert bool(bottleneck.quantiser._codebook.embed_avg.any())
    code, _ = bottleneck(FEATURES)
    assert torch.equal(bottleneck.nearest(code), code)


def test_diagnostics_are_those_of_a_plain_count(learnt):
    counts = Counter(plain_nearest(FEATURES, learnt.quantiser.codebook))
    parts = [count / counts.total() for count in counts.values()]
    figures = learnt.diagnostics(FEATURES)
    assert float(figures["perplexity"]) == pytest.approx(math.exp(-sum(p * math.log(p) for p in parts)), rel=1e-5)
    assert float(figures["usage"]) == len(counts) / 16
    assert float(figures["bits"]) == 4 * 4  # four pairs of one in sixteen


def level(value: float, levels: int) -> float:
    """The value of one number on its grid, after Mentzer et al. 2023, appendix A.1."""
    half = (levels - 1) * (1 + 1e-3) / 2
    offset = 0.5 if levels % 2 == 0 else 0.0
    return round(math.tanh(value + math.atanh(offset / half)) * half - offset) / (levels // 2)


def test_every_number_is_rounded_to_its_levels():
    levels = (8, 5, 4, 3)
    code, penalty = FiniteScalar(8, levels)(FEATURES * 2)
    expected = [[level(v, levels[i % 4]) for i, v in enumerate(row)] for row in (FEATURES * 2).tolist()]
    torch.testing.assert_close(code, torch.tensor(expected), rtol=0, atol=1e-6)
    assert penalty is None
    for place, count in enumerate(levels):
        assert len(code[:, place].unique()) <= count
    assert len(FiniteScalar(8, levels)(torch.linspace(-9, 9, 4000).repeat(2, 1).T.repeat(1, 4))[0][:, 0].unique()) == 8


def test_the_nearest_code_is_on_the_grid_and_codes_are_their_own():
    bottleneck = FiniteScalar(8, (8, 5, 4, 3)).eval()
    code, _ = bottleneck(FEATURES)
    torch.testing.assert_close(bottleneck.nearest(code), code)
    torch.testing.assert_close(bottleneck.nearest(code + 0.1), code)
    far = bottleneck.nearest(torch.full((1, 8), 9.0))
    assert far.tolist() == [[0.75, 1, 0.5, 1] * 2]


def test_diagnostics_of_the_grid_are_those_of_a_plain_count():
    bottleneck = FiniteScalar(8, (3, 3)).eval()
    code, _ = bottleneck(FEATURES)
    counts = Counter(tuple(pair) for pair in code.reshape(-1, 2).tolist())
    parts = [count / counts.total() for count in counts.values()]
    figures = bottleneck.diagnostics(FEATURES)
    assert float(figures["perplexity"]) == pytest.approx(math.exp(-sum(p * math.log(p) for p in parts)), rel=1e-5)
    assert float(figures["usage"]) == pytest.approx(len(counts) / 9)


def test_gradients_reach_the_encoder_through_the_rounding():
    features = FEATURES.clone().requires_grad_()
    FiniteScalar(8)(features)[0].sum().backward()
    assert (features.grad != 0).all()


@pytest.mark.parametrize("bottleneck", [VectorQuantised(8, entries=16, dim=2), FiniteScalar(8)])
def test_half_precision_stays_in_the_codebook(bottleneck):
    code, penalty = bottleneck.train()(FEATURES.bfloat16())
    assert code.dtype == torch.bfloat16
    assert penalty is None or penalty.isfinite().item()
    assert bottleneck.eval()(FEATURES.bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.parametrize(("made", "words"), [
    (lambda: VectorQuantised(10, dim=4), r"`size` \(= 10\) must be a multiple of 4"),
    (lambda: VectorQuantised(8, decay=1.0), r"`decay` \(= 1.0\) must lie between 0 and 1"),
    (lambda: VectorQuantised(8, entries=1), r"`entries` \(= 1\) must be a whole number of at least 2"),
    (lambda: FiniteScalar(8, [8, 5, 5]), r"`size` \(= 8\) must be a multiple of 3"),
    (lambda: FiniteScalar(8, [8, 2]), r"`levels\[1\]` \(= 2\) must be a whole number of at least 3"),
    (lambda: FiniteScalar(10, [9] * 10), r"make 3,486,784,401 entries"),
])  # fmt: skip
def test_values_out_of_range_are_refused(made, words):
    with pytest.raises(UserError, match=words):
        made()


def test_a_codebook_is_learnt_in_one_process(monkeypatch):
    bottleneck = VectorQuantised(8)
    bottleneck.start_epoch(0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(UserError, match=r"learns its codebook in one process: take trainer.devices=1"):
        bottleneck.start_epoch(0)


def test_without_the_library_one_is_told_how_to_get_it(diabolo, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    ended = diabolo("train", *tiny, "bottleneck=vq")
    assert ended.code == 2
    assert "diabolo: vector-quantize-pytorch is not installed: uv sync --extra quantize" in ended.err
