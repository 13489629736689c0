"""Measures of generated items: against independent code, closed forms, and sets whose fault is known."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from benchmarks import generation as benchmark
from benchmarks.__main__ import main
from vaegan.errors import DataError, UserError
from vaegan.metrics import (
    density_coverage,
    f1,
    frechet_distance,
    gaussian_distance,
    inception_score,
    judge_features,
    kernel_distance,
    kth_distances,
    nearest,
    precision_recall,
)
from vaegan.metrics import neighbours as module
from vaegan.metrics.neighbours import cross, neighbour_distances, slices, tile_rows

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torchmetrics")
needs_prdc = pytest.mark.skipif(
    importlib.util.find_spec("prdc") is None, reason="prdc is not installed: pip install 'vaegan[dev]'"
)
TINY = 0.01
"""MiB: a few dozen items a tile, so that even small sets take many tiles."""
SETS = [(n, m, d, offset) for n, m, d in ((200, 200, 16), (150, 230, 5)) for offset in (0.0, 300.0)]


def sets(n: int, m: int, d: int, offset: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rectified, correlated, a little apart; in single precision."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator)
    real = (torch.randn(n, d, generator=generator) @ mixing).relu() + offset
    fake = (1.1 * torch.randn(m, d, generator=generator) @ mixing + 0.3).relu() + offset
    return real, fake


def gaussians(n: int, d: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def distances(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None].double() - b[None].double()).norm(dim=-1)


class PassThrough(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("block_mib", [TINY, 64.0])
@pytest.mark.parametrize(("n", "m", "d", "offset"), SETS)
def test_neighbours_are_those_of_all_distances(n: int, m: int, d: int, offset: float, block_mib: float) -> None:
    real, fake = sets(n, m, d, offset)
    own = distances(real, real).fill_diagonal_(torch.inf).sort(dim=1).values
    torch.testing.assert_close(neighbour_distances(real, 4, block_mib=block_mib), own[:, :4], rtol=1e-6, atol=0)
    torch.testing.assert_close(kth_distances(real.numpy(), 3, block_mib=block_mib), own[:, 2], rtol=1e-6, atol=0)
    across = distances(fake, real).sort(dim=1)
    found, indices = nearest(fake, real, 3, block_mib=block_mib)
    torch.testing.assert_close(found, across.values[:, :3], rtol=1e-6, atol=0)
    assert torch.equal(indices, across.indices[:, :3])


def test_all_items_can_be_neighbours() -> None:
    real, fake = sets(4, 3, 2)
    expected = distances(real, real).fill_diagonal_(torch.inf).sort(dim=1).values[:, :3]
    torch.testing.assert_close(neighbour_distances(real, 3), expected, rtol=1e-6, atol=0)
    assert sorted(nearest(fake, real, 4)[1][0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("block_mib", [TINY, 64.0])
@pytest.mark.parametrize(("n", "m", "d", "offset"), SETS)
def test_balls_hold_what_all_distances_say(n: int, m: int, d: int, offset: float, block_mib: float) -> None:
    real, fake = sets(n, m, d, offset)
    near, far, around = kth_distances(real, 2), kth_distances(real, 7), kth_distances(fake, 3)
    found = cross(real, fake, [near, far], [around], block_mib=block_mib)
    every = distances(real, fake)
    for count, radii in zip(found.fakes, (near, far), strict=True):
        assert torch.equal(count, (every <= radii[:, None]).sum(0))
    assert torch.equal(found.reals[0], (every <= around).sum(1))
    torch.testing.assert_close(found.nearest, every.min(1).values, rtol=1e-6, atol=0)


def test_a_far_cluster_and_an_outlier_do_not_blur_the_distances() -> None:
    real, fake = sets(120, 120, 32)
    real[0] *= 1e4
    real[60:], fake[60:] = real[60:] + 1e3, fake[60:] + 1e3
    found = cross(real, fake, [kth_distances(real, 3)], [kth_distances(fake, 3)], block_mib=TINY)
    radii = [distances(x, x).fill_diagonal_(torch.inf).sort(dim=1).values[:, 2] for x in (real, fake)]
    every = distances(real, fake)
    assert torch.equal(found.fakes[0], (every <= radii[0][:, None]).sum(0))
    assert torch.equal(found.reals[0], (every <= radii[1]).sum(1))


def test_copies_lie_at_distance_zero_and_balls_hold_their_surface() -> None:
    real, _ = sets(100, 1, 64)
    assert nearest(real, real.clone())[0].max() == 0
    assert precision_recall(real, real.clone()) == (1.0, 1.0)
    # Each item lies in the balls around itself and around those to whom it is among the k nearest: k of them, averaged.
    assert density_coverage(real, real.clone(), k=5) == (pytest.approx(6 / 5, rel=1e-12), 1.0)
    assert kth_distances(real.repeat(4, 1), 3).max() == 0


@pytest.mark.parametrize("features", [1, 64, 2048, 100_000])
@pytest.mark.parametrize("block_mib", [0.1, 1.0, 64.0])
def test_tiles_fill_the_budget_and_no_more(features: int, block_mib: float) -> None:
    rows = tile_rows(features, block_mib)

    def needed(rows: int) -> int:
        return 8 * rows * (rows + 2 * features)

    assert rows == 1 or needed(rows) <= block_mib * 2**20
    assert needed(rows + 1) > block_mib * 2**20


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200, 10_000])
@pytest.mark.parametrize("rows", [1, 7, 64, 100, 1499, 20_000])
def test_blocks_cover_all_items_once(n: int, rows: int) -> None:
    blocks = slices(n, rows)
    assert [i for block in blocks for i in range(n)[block]] == list(range(n))
    assert max(block.stop - block.start for block in blocks) <= rows
    if rows >= 64:
        assert all((block.stop - block.start) % 64 == 0 for block in blocks[:-1])


def test_no_block_is_larger_than_the_budget_says(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = sets(300, 200, 16)
    seen: list[int] = []
    centred = module._centred
    monkeypatch.setattr(module, "_centred", lambda block, mean: seen.append(len(block)) or centred(block, mean))
    kth_distances(real, 3, block_mib=0.05)
    nearest(real, fake, 3, block_mib=0.05)
    cross(real, fake, [], [], block_mib=0.05)
    rows = tile_rows(16, 0.05)
    assert max(seen) <= rows < 200
    blocks, others = len(slices(300, rows)), len(slices(200, rows))
    assert len(seen) == blocks * (blocks + 1) // 2 + 2 * (blocks + blocks * others)


@needs_prdc
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d", "offset"), SETS)
def test_precision_recall_density_coverage_agree_with_prdc(n: int, m: int, d: int, offset: float, k: int) -> None:
    from prdc import compute_prdc

    real, fake = sets(n, m, d, offset)
    with contextlib.redirect_stdout(io.StringIO()):
        expected = compute_prdc(real.double().numpy(), fake.double().numpy(), k)
    found = dict(zip(("precision", "recall"), precision_recall(real, fake, k), strict=True))
    found |= dict(zip(("density", "coverage"), density_coverage(real.numpy(), fake.numpy(), k), strict=True))
    assert found == pytest.approx(expected, rel=1e-12)  # counts: they agree but for the last bit of a mean


@pytest.mark.parametrize(("n", "m", "d", "offset"), SETS)
def test_the_frechet_distance_agrees_with_torchmetrics(n: int, m: int, d: int, offset: float) -> None:
    real, fake = sets(n, m, d, offset)
    peer = FrechetInceptionDistance(PassThrough(d))
    peer.update(real.double(), real=True)
    peer.update(fake.double(), real=False)
    # torchmetrics subtracts the squared means only at the end: it is the one that loses digits to an offset.
    assert frechet_distance(real, fake) == pytest.approx(float(peer.compute()), rel=1e-5)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(real - offset, fake - offset), rel=1e-4)


@pytest.mark.parametrize(("double", "tolerance"), [(False, 1e-4), (True, 1e-9)])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_kernel_distance_agrees_with_torchmetrics(offset: float, double: bool, tolerance: float) -> None:
    real, fake = sets(200, 200, 16, offset)
    peer = KernelInceptionDistance(PassThrough(16), subsets=1, subset_size=200)
    peer.update(real.double(), real=True)
    peer.update(fake.double(), real=False)
    found = kernel_distance(real.double(), fake.double()) if double else kernel_distance(real, fake)
    assert found == pytest.approx(float(peer.compute()[0]), rel=tolerance)


@pytest.mark.parametrize("rows", [7, 1000])
def test_the_kernel_distance_of_sets_of_different_sizes(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = (x.double() for x in sets(30, 20, 4))
    frechet = frechet_distance(real, fake)
    monkeypatch.setattr("vaegan.metrics.jackknife.tile_rows", lambda features: rows)
    assert frechet_distance(real, fake) == pytest.approx(frechet, rel=1e-12)
    kernel: Callable[[Tensor, Tensor], Tensor] = lambda a, b: (a @ b.T / 4 + 1) ** 3  # noqa: E731
    within = [kernel(x, x).fill_diagonal_(0).sum() / (len(x) * (len(x) - 1)) for x in (real, fake)]
    expected = float(within[0] + within[1] - 2 * kernel(real, fake).mean())
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("splits", [1, 10])
def test_the_inception_score_agrees_with_torchmetrics(splits: int) -> None:
    logits = 2 * gaussians(200, 7).double()
    peer = InceptionScore(PassThrough(7), splits=splits)
    peer.update(logits)
    torch.manual_seed(0)
    mean, std = peer.compute()
    torch.manual_seed(0)
    shuffled = logits[torch.randperm(200)].softmax(1)
    found = inception_score(shuffled, splits)
    assert found[0] == pytest.approx(float(mean), rel=1e-12)
    if splits > 1:
        assert found[1] * np.sqrt(splits / (splits - 1)) == pytest.approx(float(std), rel=1e-9)


def test_inception_scores_that_are_known() -> None:
    sure = torch.eye(5).repeat(20, 1)
    assert inception_score(sure, 10) == pytest.approx((5.0, 0.0))
    assert inception_score(np.full((50, 4), 0.25), 5) == pytest.approx((1.0, 0.0))


def test_the_distance_of_two_gaussians() -> None:
    d = 6
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    a, b = (torch.rand(d, generator=generator, dtype=torch.float64) + 0.1 for _ in range(2))
    shift = torch.arange(d, dtype=torch.float64)
    # Covariances that commute: |m - m'|² + sum (root a - root b)².
    expected = float(shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    first, second = (basis @ torch.diag(x) @ basis.T for x in (a, b))
    assert gaussian_distance(shift, first, 2 * shift, second) == pytest.approx(expected, rel=1e-12)
    singular = basis @ torch.diag(a * (torch.arange(d) > 2)) @ basis.T
    expected = float(a[:3].sum())
    assert gaussian_distance(shift, singular, shift, first) == pytest.approx(expected, rel=1e-6)
    assert gaussian_distance(shift, first, shift, singular) == pytest.approx(expected, rel=1e-6)
    # Covariances that do not commute, in two dimensions: tr root(A B) = root(tr(A B) + 2 root(det(A B))).
    x = torch.tensor([[2.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    y = torch.tensor([[0.5, -0.2], [-0.2, 3.0]], dtype=torch.float64)
    shared = ((x @ y).trace() + 2 * torch.linalg.det(x @ y).sqrt()).sqrt()
    zero = torch.zeros(2, dtype=torch.float64)
    assert gaussian_distance(zero, x, zero, y) == pytest.approx(float(x.trace() + y.trace() - 2 * shared), rel=1e-12)


def test_the_frechet_distance_of_many_gaussian_items_is_the_closed_form() -> None:
    d, n = 4, 40_000
    real, fake = gaussians(n, d), gaussians(n, d, 2.0, seed=1) + 1.0
    # |1|² + d (2 - 1)²; the bias, of order d²/n, and the spread, of order 4 root(d/n), stay within 2 %.
    assert frechet_distance(real, fake) == pytest.approx(2 * d, rel=0.02)
    assert frechet_distance(real, gaussians(n, d, seed=2)) < 0.01
    assert frechet_distance(real, real) == pytest.approx(0.0, abs=1e-9)


def test_a_collapsed_generator_is_precise_and_recalls_little() -> None:
    real, fake = gaussians(500, 8), gaussians(500, 8, 0.1, seed=1)
    precision, recall = precision_recall(real, fake)
    assert precision > 0.9
    assert recall < 0.1
    assert density_coverage(real, fake)[1] < 0.5


def test_a_generator_that_wanders_off_recalls_all_and_is_not_precise() -> None:
    precision, recall = precision_recall(gaussians(500, 8, 0.1), gaussians(500, 8, seed=1))
    assert precision < 0.1
    assert recall > 0.9


def test_draws_from_the_same_distribution() -> None:
    real, fake = gaussians(1000, 8), gaussians(1000, 8, seed=1)
    precision, recall = precision_recall(real, fake)
    density, coverage = density_coverage(real, fake)
    assert min(precision, recall) > 0.7
    assert density == pytest.approx(1.0, abs=0.1)
    # Naeem et al. 2020, Lemma 2: 1 - (n - 1)...(n - k) / ((2n - 1)...(2n - k)), about 1 - 2^-k.
    assert coverage == pytest.approx(1 - 2.0**-5, abs=0.02)


def test_f1() -> None:
    assert f1(0.5, 1.0) == pytest.approx(2 / 3)
    assert f1(0.0, 0.0) == 0.0


def test_all_numbers_of_two_sets() -> None:
    real, fake = sets(220, 200, 16)
    probabilities = gaussians(200, 5).softmax(1)
    judged = judge_features(real, fake, extractor="toy", probabilities=probabilities)
    precision, recall = precision_recall(real, fake, 3)
    density, coverage = density_coverage(real, fake, 5)
    expected = {
        "fid": frechet_distance(real, fake),
        "kid": kernel_distance(real, fake),
        "precision": precision,
        "recall": recall,
        "f1": f1(precision, recall),
        "density": density,
        "coverage": coverage,
        "is": inception_score(probabilities)[0],
    }
    assert {name: number["mean"] for name, number in judged.numbers.items()} == pytest.approx(
        {f"{name}[toy]": value for name, value in expected.items()}, rel=1e-5
    )
    assert judged.notes == ()
    for name, number in judged.numbers.items():
        low, high = number["ci95"]
        assert low < number["mean"] < high
        assert (number["n"], number["n_real"]) == (200, 0 if name == "is[toy]" else 220)
        assert number["unit"] == "1"
        assert number["better"] == ("lower" if name in ("fid[toy]", "kid[toy]") else "higher")
    json.dumps(judged.numbers)
    again = judge_features(real.numpy(), fake.numpy(), extractor="toy", probabilities=probabilities.numpy())
    assert again == judged
    assert judge_features(real, fake, extractor="toy", seed=1).numbers["kid[toy]"] != judged.numbers["kid[toy]"]


def test_intervals_leave_out_one_group_of_both_sets_at_a_time() -> None:
    real, fake = (x.double() for x in sets(43, 31, 3))
    found = judge_features(real, fake, extractor="toy", seed=7).numbers
    generator = np.random.default_rng(7)
    groups = [np.array_split(generator.permutation(n), 10) for n in (43, 31)]
    for name, measure in (("fid", frechet_distance), ("kid", kernel_distance)):
        left = [
            measure(np.delete(real.numpy(), a, axis=0), np.delete(fake.numpy(), b, axis=0))
            for a, b in zip(*groups, strict=True)
        ]
        half = 2.262157 * np.sqrt(0.9 * np.square(np.asarray(left) - np.mean(left)).sum())  # Student's t, 9 degrees
        mean = measure(real, fake)
        low = mean - half if name == "kid" else max(0.0, mean - half)
        assert found[f"{name}[toy]"]["ci95"] == pytest.approx([low, mean + half], rel=1e-6)


def test_intervals_of_shares_stay_within_them_and_shrink_with_more_items() -> None:
    few, many = (judge_features(*sets(n, n, 4), extractor="x").numbers for n in (60, 960))
    for name in ("precision[x]", "recall[x]", "f1[x]", "coverage[x]"):
        widths = [high - low for low, high in (numbers[name]["ci95"] for numbers in (few, many))]
        assert all(0 <= end <= 1 for numbers in (few, many) for end in numbers[name]["ci95"])
        assert widths[1] < 0.5 * widths[0]


@pytest.mark.parametrize(("n", "d"), [(20, 32), (50, 46)])
def test_without_enough_items_fid_gives_way_to_kid(n: int, d: int) -> None:
    judged = judge_features(*sets(n, n, d), extractor="x")
    assert "fid[x]" not in judged.numbers
    assert "kid[x]" in judged.numbers
    assert f"FID is left out: {n} real and {n} generated items" in judged.notes[0]
    assert "KID" in judged.notes[0]


def test_too_few_items_for_the_splits_is_a_note() -> None:
    real, fake = sets(50, 8, 2)
    judged = judge_features(real, fake, extractor="x", probabilities=gaussians(8, 3).softmax(1))
    assert "is[x]" not in judged.numbers
    assert any("8 generated items are too few for 10 splits" in note for note in judged.notes)


BOTH = (frechet_distance, kernel_distance, precision_recall, density_coverage)


@pytest.mark.parametrize("n", [8, 15, 16])
def test_fewer_items_than_features_is_an_error_that_offers_kid(n: int) -> None:
    real, fake = sets(100, n, 16)
    with pytest.raises(DataError, match=rf"100 real and {n} generated.*no full rank.*meaningless.*\(KID\)"):
        frechet_distance(real, fake)
    assert np.isfinite(kernel_distance(real, fake))


@pytest.mark.parametrize("measure", BOTH)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, f: (r, f.fill_(0.3)), "features of all 60 generated items are the same"),
        (lambda r, f: (r[:1].expand(60, -1) * (1 + 1e-7 * r.sign()), f), "features of all 60 real items are the same"),
        (lambda r, f: (r, f.index_fill_(0, torch.tensor([7, 9]), torch.nan)), r"2 of 60 gen.*NaN.*first is item 7"),
        (lambda r, f: (r.index_fill_(0, torch.tensor(3), torch.inf), f), r"1 of 60 real.*infinity.*item 3"),
        (lambda r, f: (r, f * 1e20), r"generated items hold .* beyond 1e\+15"),
        (lambda r, f: (r, f[:1]), "1 generated items"),
        (lambda r, f: (r[:, :3], f), r"\(60, 3\).*\(60, 4\).*same number of features"),
        (lambda r, f: (r, f.T), r"\(60, 4\).*\(4, 60\).*are the axes of one swapped\?"),
        (lambda r, f: (r[None], f), r"real features of shape \(1, 60, 4\); expected \(items, features\)"),
        (lambda r, f: (r, f[:0]), r"generated features of shape \(0, 4\)"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(measure, change, said) -> None:
    real, fake = change(*sets(60, 60, 4))
    for pair in ((real, fake), (real.numpy(), fake.numpy())):
        with pytest.raises((DataError, TypeCheckError)) as caught:  # whichever checks shapes first
            measure(*pair)
        if caught.type is DataError:
            assert caught.match(said)
            assert "\n" not in str(caught.value)


def test_too_few_neighbours_and_probabilities_that_are_none() -> None:
    real, fake = sets(60, 5, 4)
    with pytest.raises(DataError, match="5 generated items for k = 5; expected at least 6"):
        judge_features(real, fake, extractor="x")
    with pytest.raises(DataError, match="k = 0; expected at least one"):
        precision_recall(real, fake, 0)
    with pytest.raises(DataError, match="5 items for k = 5; expected at least 6"):
        kth_distances(fake, 5)
    with pytest.raises((DataError, TypeCheckError), match="probabilities"):  # whichever checks shapes first
        judge_features(fake.repeat(3, 1), real, extractor="x", probabilities=fake.softmax(1))
    good = real.softmax(1)
    for bad in (real - 5, good * 1.1, good.index_fill(0, torch.tensor(0), torch.nan)):
        with pytest.raises(DataError, match=r"are no probabilities .*apply softmax"):
            inception_score(bad)
    with pytest.raises(DataError, match="10 splits of 5 items"):
        inception_score(good[:5])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(kind: torch.dtype) -> None:
    real, fake = (x.to(kind) for x in sets(100, 80, 8))
    wide = real.double(), fake.double()
    assert precision_recall(real, fake) == precision_recall(*wide)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(*wide), rel=1e-12)
    assert kernel_distance(real, fake) == pytest.approx(kernel_distance(*wide), rel=1e-4)


def test_a_file_mapped_for_reading_will_do(tmp_path) -> None:
    real, fake = sets(50, 50, 4)
    np.save(tmp_path / "real.npy", real.numpy())
    mapped = np.load(tmp_path / "real.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel_distance(mapped, fake) == kernel_distance(real, fake)


@needs_prdc
def test_the_benchmark_on_tiny_sets(monkeypatch, capsys) -> None:
    # A process of its own would import everything again; only its place in the answer matters here.
    monkeypatch.setattr(benchmark, "in_own_process", benchmark.cost)
    arguments = ["--n", "60", "--features", "8", "--check-n", "60", "--rounds", "1"]
    assert main(["generation", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert not captured.err
    assert set(answer["relative_difference"]) == set(answer["check"]["values"])
    assert max(answer["relative_difference"].values()) < 1e-3
    assert set(answer["seconds"]) == set(answer["peak_memory_above_data_mib"]) == set(benchmark.SIDES)
    assert answer["spread"][0] <= answer["ratio_to_cdist"] <= answer["spread"][1]
    assert main(["generation", *arguments]) == 0
    assert "MiB above the data" in capsys.readouterr().out


def test_the_benchmarks_rival_counts_alike() -> None:
    real, fake = benchmark.data(200, 12)
    assert benchmark.neighbours(real, fake) == pytest.approx(benchmark.cdist(real, fake), abs=0.02)
    with pytest.raises(UserError, match="at least 20 items"):
        benchmark.parse(["--n", "4"])
