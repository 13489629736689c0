"""EEG without any data: artifacts, measures, baselines, band, splits, the model that is blind to amplitude."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from domains.eeg import EEG, TEN_TWENTY, EEGDenoiseNet
from domains.eeg.artifacts import TRAVELLING, Bank, Drift, Heart, Line, Pop, Recorded, Together, White, artifact_scale
from domains.eeg.band import Band, bridged
from domains.eeg.baselines import ICA, BandPass, LinearMMSE, Regression, _least_squares, eeg_baselines
from domains.eeg.blocks import PATTERN, spans, subject_of, subject_splits, units_of
from domains.eeg.channels import _standard, is_known, kind_of, plain_name
from domains.eeg.erp import find_responses
from domains.eeg.erp import section as erp_section
from domains.eeg.faults import Clip, Drop, Flat
from domains.eeg.generation import (
    autocorrelation_distance,
    covariance_distance,
    decoder_test,
    judge,
    log_band_powers,
    psd_distance,
    sliced_wasserstein,
    train_on_synthetic,
)
from domains.eeg.metrics import BANDS, band_error, band_ratios, correlation, rrmse_s, rrmse_t, snr, spectrum
from domains.eeg.network import standard
from domains.eeg.sources import in_force
from domains.eeg.stream import Stream
from domains.eeg.survival import RESPONSE, Triple, by_level, decoded, evoked_test, peak, scores
from vaegan.data import SPLITS
from vaegan.degradation import build
from vaegan.errors import DataError, UserError
from vaegan.metrics.generation import judge_features
from vaegan.models.standardised import StandardisedConfig
from vaegan.recipe import Recipe
from vaegan.run import Run
from vaegan.testing import check_degradation, check_domain

RATE = 256.0
NETWORK = StandardisedConfig(
    latent=4, width=8, widest=16, depth=2, patch=4, discriminator_width=4, discriminator_hidden=8
)


@pytest.mark.parametrize(("convention", "decade"), [("eegdenoisenet", 10.0), ("power", 20.0)])
def test_an_snr_is_what_its_convention_says(convention, decade):
    generator = torch.Generator().manual_seed(0)
    x, n = torch.randn(3, 1, 512, generator=generator), 7 * torch.randn(3, 1, 512, generator=generator)
    level = torch.tensor([-7.0, 0.0, 2.0])
    noise = artifact_scale(x, n, level, convention) * n
    quotient = x.square().mean((1, 2)).sqrt() / noise.square().mean((1, 2)).sqrt()
    torch.testing.assert_close(decade * torch.log10(quotient), level, atol=1e-4, rtol=0)


def test_a_condition_may_name_its_convention():
    domain = EEG()
    x = domain.to_model(torch.from_numpy(np.array(domain.dataset("test").signals[:4])))
    for text, decade in (("eog snr=-3 dB", 10), ("eog snr=-3 dB convention=power", 20)):
        y = build(text, domain.degradations())(x, generator=torch.Generator().manual_seed(1)).y
        found = decade * torch.log10(x.square().mean((1, 2)).sqrt() / (y - x).square().mean((1, 2)).sqrt())
        torch.testing.assert_close(found, torch.full((4,), -3.0), atol=1e-2, rtol=0)


def test_artifacts_of_the_test_split_are_not_those_of_training():
    assets = EEG().assets()
    for kind in ("eog", "emg"):
        parts = [set(pairwise(assets[f"bank.{kind}.{split}.samples"].tolist())) for split in SPLITS]
        assert all(len(part) > 1000 for part in parts)
        assert not parts[0] & parts[2]
    train, test = (EEG().on_split(split).degradations()["eog"]().bank for split in ("train", "test"))
    assert train.vary and not test.vary
    assert not np.array_equal(train.samples[: len(test.samples)], test.samples)


def test_a_piece_stays_inside_its_recording():
    bank = Bank(np.arange(100, dtype=np.float32), np.array([0, 36]), 64, vary=True)
    artifact = Recorded(bank, (0.0, 0.0))
    pieces = artifact._pieces(64, torch.zeros(64, 1, 64), torch.Generator().manual_seed(0))
    steps = pieces.diff(dim=-1).abs()
    assert float(steps.max()) <= 1.0 + 1e-4 and float(steps.min()) >= 0.75 - 1e-4


def test_in_training_no_piece_is_played_twice_alike():
    samples = np.random.default_rng(0).standard_normal(65).astype(np.float32)
    bank = Bank(samples, np.array([0]), 64)  # one piece is all there is
    x = torch.zeros(64, 1, 64)
    plain = Recorded(bank).noise(x, torch.Generator().manual_seed(0))[:, 0]
    assert torch.equal(plain, plain[:1].expand_as(plain))
    varied = Recorded(replace(bank, vary=True)).noise(x, torch.Generator().manual_seed(0))[:, 0]
    alike = torch.corrcoef(varied).abs()
    assert (alike > 0.999).sum() == len(varied)  # each with itself
    assert torch.isfinite(varied).all()


@pytest.mark.parametrize(
    "name", ["eog", "emg", "eog+emg", "line", "pop", "drift", "ecg", "white", "clip", "flat", "drop"]
)
def test_every_degradation_works_on_several_channels(name):
    domain = EEG(channels=TEN_TWENTY, samples=128)
    check_degradation(domain.degradations()[name](), domain.spec, batches=(1, 3), dtypes=(torch.float32,))


def test_eyes_reach_the_forehead_more_than_the_back():
    domain = EEG(channels=TEN_TWENTY)
    x = domain.to_model(torch.from_numpy(np.array(domain.dataset("test").signals[:8])))
    y = build("eog snr=-3 dB", domain.degradations())(x, generator=torch.Generator().manual_seed(0)).y
    power = (y - x).square().mean((0, 2))
    assert power[TEN_TWENTY.index("Fp1")] > 10 * power[TEN_TWENTY.index("O1")]


def amplitudes(noise, rate):
    """Frequencies in Hz, and the root mean square amplitude of each over the items, of the first channel."""
    window = torch.hann_window(noise.shape[-1], periodic=False)
    return np.fft.rfftfreq(noise.shape[-1], 1 / rate), torch.fft.rfft(noise[:, 0] * window).abs().square().mean(
        0
    ).sqrt().numpy()


def test_hum_is_at_the_mains_and_falls_with_the_square_of_its_harmonics():
    frequency, size = amplitudes(Line(500.0).noise(torch.zeros(16, 2, 4000), torch.Generator().manual_seed(0)), 500.0)

    def around(hertz):
        return np.sqrt(np.square(size[np.abs(frequency - hertz) < 2]).sum())

    assert frequency[size.argmax()] == pytest.approx(50, abs=0.3)
    assert around(100) / around(50) == pytest.approx(1 / 4, rel=0.02)
    assert around(150) / around(50) == pytest.approx(1 / 9, rel=0.02)
    assert size[frequency > 155].max() < 0.01 * size.max()


def test_drift_is_slower_than_any_eeg():
    generator = torch.Generator().manual_seed(0)
    for rate in (128.0, 512.0):
        frequency, size = amplitudes(Drift(rate).noise(torch.zeros(16, 1, int(16 * rate)), generator), rate)
        assert np.square(size[frequency > 0.8]).sum() < 0.01 * np.square(size).sum()


def test_a_pop_steps_up_or_down_in_one_channel_and_dies_away():
    noise = Pop(512.0).noise(torch.zeros(64, 3, 1024), torch.Generator().manual_seed(0)).double()
    times, signs = [], set()
    for item in noise:
        (channel,) = item.abs().amax(1).nonzero().flatten().tolist()
        begin = int(item[channel].nonzero()[0])
        first, later = item[channel, begin], item[channel, begin + 50]
        assert 0.95 < float(first.abs()) <= 1
        times.append(50 / 512 / float(torch.log(first / later)))
        signs.add(float(first.sign()))
    assert 0.1 <= min(times) < 0.2 and 1 < max(times) <= 2.01 and signs == {-1.0, 1.0}


def test_a_heart_beats_50_to_100_times_a_minute():
    seconds = 60
    noise = Heart(RATE).noise(torch.zeros(12, 1, int(seconds * RATE)), torch.Generator().manual_seed(0))[:, 0]
    above = noise > 0.6 * noise.amax(1, keepdim=True)  # R alone; T is a third of it
    beats = (above[:, 1:] & ~above[:, :-1]).sum(1)
    assert 49 <= beats.min() < 65 and 85 < beats.max() <= 101


def test_two_artifacts_at_once_are_of_one_size():
    class Loud(White):
        def noise(self, x, generator):
            return 1000 * super().noise(x, generator)

    noise = Together(Loud(), Line(RATE)).noise(torch.zeros(16, 1, 1024), torch.Generator().manual_seed(0))
    frequency, size = amplitudes(noise, RATE)
    hum = np.square(size[np.abs(frequency - 50) < 2]).sum() + np.square(size[np.abs(frequency - 100) < 2]).sum()
    assert hum / np.square(size).sum() == pytest.approx(0.5, abs=0.1)


def test_muscles_differ_from_channel_to_channel_and_eyes_do_not():
    bank = Bank(np.random.default_rng(0).standard_normal(4096).astype(np.float32), np.arange(3000), 512)
    for spread in (False, True):
        noise = Recorded(bank, spread=spread).noise(torch.zeros(4, 3, 512), torch.Generator().manual_seed(0))
        alike = torch.stack([torch.corrcoef(item) for item in noise])
        assert float(alike.abs().mean()) < 0.5 if spread else float(alike.min()) > 0.999
        assert abs(float(torch.corrcoef(noise[:, 0])[0, 1])) < 0.5  # of one item to the next they differ


def test_faults_are_as_large_as_they_are_stated():
    rising = torch.linspace(-1, 1, 201).repeat(6, 2, 1)
    generator = torch.Generator().manual_seed(0)
    clipped = Clip(0.3)(rising, generator=generator).y
    torch.testing.assert_close(clipped, rising.clamp(-0.7, 0.7))
    held = Flat(0.4)(rising, generator=generator).y
    for item, was in zip(held, rising, strict=True):
        (channel,) = (item != was).any(1).nonzero().flatten().tolist()
        changed = (item[channel] != was[channel]).nonzero().flatten()
        first, last = int(changed[0]) - 1, int(changed[-1])  # the value that it keeps is the one that it had
        assert last - first + 1 == pytest.approx(0.4 * 201, abs=1)
        assert bool((item[channel, first : last + 1] == was[channel, first]).all())
    lost = ~Drop(0.3)(rising, generator=generator).mask
    assert lost.sum((1, 2)).tolist() == [round(0.3 * 201)] * 6
    assert bool((lost.int().diff(dim=-1) == 1).sum() <= 6), "one stretch each"


def test_the_contract_holds():
    failed = [check for check in check_domain(EEG()) + check_domain(EEGDenoiseNet()) if not check.passed]
    assert not failed, failed


def test_measures_of_known_signals():
    t = np.arange(512) / RATE
    truth = np.sin(2 * np.pi * 10 * t)[None, None] * np.array([1.0, 2.0])[:, None, None]
    assert rrmse_t(0.5 * truth, truth, 1) == pytest.approx([0.5, 0.5])
    assert rrmse_s(0.5 * truth, truth, 1, rate=RATE) == pytest.approx([0.75, 0.75])
    assert correlation(-truth, truth, 1) == pytest.approx([-1, -1])
    assert snr(0.9 * truth, truth, 1) == pytest.approx([20, 20])
    assert np.isnan(rrmse_t(truth, 0 * truth, 1)).all()
    shares = band_ratios(truth, RATE)
    assert shares.shape == (2, 5) and shares[:, list(BANDS).index("alpha")] == pytest.approx(1, abs=0.02)
    beta = np.sin(2 * np.pi * 20 * t)[None, None].repeat(2, axis=0)
    assert band_error(beta, truth, 1, rate=RATE) == pytest.approx([1, 1], abs=0.02)  # no power where it was
    both = np.concatenate([truth, beta], axis=1)
    offsets = np.array([5.0, -3.0])[:, None]
    assert correlation(both + offsets, both - offsets, 1) == pytest.approx([1, 1])  # each channel has its own mean


def test_a_band_begins_at_its_lower_edge_and_ends_before_its_upper_one():
    t = np.arange(2048) / RATE
    frequency, _ = spectrum(np.zeros((1, 1, 2048)), RATE)
    assert frequency[1] == 1.0  # windows of 1 s
    for (low, first), (high, second) in pairwise((edges[0], name) for name, edges in BANDS.items()):
        if high > 60:
            continue
        shares = band_ratios(np.sin(2 * np.pi * high * t)[None, None], RATE)[0]
        # A Hann window lends a sixth of a tone's power to either neighbour, 1 Hz away.
        assert shares[list(BANDS).index(first)] == pytest.approx(1 / 6, abs=0.01), (low, high)
        assert shares[list(BANDS).index(second)] == pytest.approx(5 / 6, abs=0.01)


def test_linear_mmse_is_the_least_squares_matrix_and_travels():
    generator = np.random.default_rng(0)
    basis = generator.normal(size=(4, 32))
    x = (generator.normal(size=(600, 4)) @ basis)[:, None]
    y = x + generator.normal(size=x.shape)
    fitted = LinearMMSE("mmse", (1.0,)).fit(y[:400], None, x[:400])
    again = LinearMMSE("mmse", (1.0,)).with_state(fitted.state())
    restored = np.stack([again.restore(item, None, 1.0) for item in y[400:]])
    assert np.square(restored - x[400:]).mean() < 0.4 * np.square(y[400:] - x[400:]).mean()
    np.testing.assert_allclose(again.restore(1e-5 * y[400], None, 1.0), 1e-5 * restored[0], rtol=1e-4)


def test_linear_mmse_takes_the_ridge_that_unseen_items_choose_and_knows_no_amplitude():
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(64, 4)) @ generator.normal(size=(4, 32)))[:, None]
    y = x + generator.normal(size=x.shape)
    method = LinearMMSE("mmse", (1.0,))
    noisy, clean = ((part / y.std(-1, keepdims=True))[:, 0] for part in (y, x))
    tried = [_least_squares(noisy[:48], clean[:48], ridge) for ridge in method.ridges]
    errors = [np.square(noisy[48:] @ matrix.T - clean[48:]).sum() for matrix in tried]
    best = int(np.argmin(errors))
    assert best not in (0, int(np.argmax(errors)))
    found = method.fit(y, None, x).matrix
    np.testing.assert_allclose(found, _least_squares(noisy, clean, method.ridges[best]), rtol=1e-9, atol=1e-12)
    amplitude = np.exp(generator.normal(0, 3, (64, 1, 1)))
    np.testing.assert_allclose(method.fit(amplitude * y, None, amplitude * x).matrix, found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [256.0, 512.0])
def test_a_band_pass_passes_what_its_strength_says(rate):
    t = np.arange(int(8 * rate)) / rate
    kept, below, above = (np.sin(2 * np.pi * hertz * t) for hertz in (12.0, 1.5, 60.0))
    passed = BandPass("bandpass", (430.0,), rate=rate).restore((kept + below + above)[None], None, 430.0)[0]
    inside = slice(int(2 * rate), -int(2 * rate))
    assert np.abs(passed - kept)[inside].max() < 0.05  # 4 to 30 Hz


def test_ica_takes_out_what_is_like_the_forehead_and_nothing_else():
    generator, t = np.random.default_rng(0), np.arange(1024) / RATE
    blinks = sum(np.exp(-0.5 * ((t - at) / 0.08) ** 2) for at in (0.6, 1.7, 3.1))
    brain = generator.laplace(size=(5, 1024))
    names = ("Fp1", "Fp2", "C3", "Cz", "O1", "O2")
    clean = 0.1 * generator.normal(size=(6, 5)) @ brain
    y = 1e-2 * (clean + np.array([1.0, 0.9, 0.3, 0.3, 0.1, 0.1])[:, None] * 4 * blinks)
    cleaned = ICA("ica", (0.7,), reference=(0, 1), names=names, rate=RATE).restore(y, None, 0.7)
    before, after = (np.square(x - 1e-2 * clean).mean(1) for x in (y, cleaned))
    assert (after[:4] < 0.3 * before[:4]).all()
    assert cleaned[4:].std() == pytest.approx(1e-2 * clean[4:].std(), rel=0.1)


def test_regression_takes_the_forehead_out():
    t = np.arange(512) / RATE
    blink = np.exp(-0.5 * ((t - 1) / 0.1) ** 2)
    brain = np.sin(2 * np.pi * 20 * t)
    y = np.stack([blink, blink, 0.5 * blink + 0.1 * brain])
    cleaned = Regression("regression", (1.0,), reference=(0, 1), rate=RATE).restore(y, None, 1.0)[2]
    assert (cleaned - cleaned.mean() - 0.1 * brain).std() < 0.2 * (y[2] - 0.1 * brain).std()


def test_ica_and_regression_stand_beside_several_channels_only():
    assert {"regression", "ica"} <= set(eeg_baselines(EEG(channels=TEN_TWENTY).spec, TEN_TWENTY))
    assert set(eeg_baselines(EEG().spec)) == {"bandpass", "wavelet", "mmse"}


def test_a_model_blind_to_amplitude():
    torch.manual_seed(0)
    model = NETWORK.build(EEG().spec).eval()
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0, 0.1)
    y = 0.05 * torch.randn(3, 1, 512)
    with torch.no_grad():
        one, other = model.restore(y).mean, model.restore(y * torch.tensor([1.0, 10.0, 0.01])[:, None, None]).mean
        flat = model.restore(torch.zeros(1, 1, 512)).mean
    torch.testing.assert_close(other[1], 10 * one[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other[2], 0.01 * one[2], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(one, y) and flat.abs().max() < 1e-5 and model.reach is None


@pytest.mark.parametrize("rate", [128.0, 160.0, 250.0, 512.0, 5000.0])
def test_what_a_model_leaves_alone_comes_back_as_it_was(rate):
    t = np.arange(int(8 * rate)) / rate
    x = np.stack([1e-5 * np.sin(2 * np.pi * 10 * t) + 1e-3, 1e-4 * t])
    band = Band(0.5, 57.6, RATE)
    seen = band.seen(x, rate)
    assert seen.shape == (2, int(np.ceil(8 * RATE)))
    inside = slice(512, -512)
    model_t = np.arange(seen.shape[1]) / RATE
    np.testing.assert_allclose(seen[0, inside], 1e-5 * np.sin(2 * np.pi * 10 * model_t[inside]), atol=2e-7)
    back = band.returned(seen, rate, len(t))
    assert back.shape == x.shape
    assert np.abs(back[0] - 1e-5 * np.sin(2 * np.pi * 10 * t))[int(2 * rate) : -int(2 * rate)].max() < 3e-7


def test_gaps_are_bridged():
    x = np.array([[0.0, np.nan, 2.0, np.inf], [np.nan] * 4])
    whole, broken = bridged(x)
    np.testing.assert_array_equal(whole, [[0, 1, 2, 2], [0, 0, 0, 0]])
    assert broken.sum() == 6


def test_gaps_are_bridged_whatever_the_order_in_memory():
    x = np.random.default_rng(0).normal(size=(3, 2, 20))[:, [1, 0]]  # as epochs with their channels picked
    x[1, 0, 5:9] = np.nan
    assert not x.flags["C_CONTIGUOUS"]
    whole, _ = bridged(x)
    np.testing.assert_allclose(whole[1, 0, 5:9], np.interp([5, 6, 7, 8], [4, 9], x[1, 0, [4, 9]]))


@pytest.mark.parametrize("rate", [128.0, 160.0, 250.0, 256.0, 512.5, 1000.0])
def test_a_stream_puts_what_a_model_changes_where_it_saw_it(rate):
    class Nothing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def restore(self, y):
            return SimpleNamespace(mean=torch.zeros_like(y))

    stream = Stream(Nothing(), EEG(lowpass=57.0), rate, 1)
    t = np.arange(int(8 * rate)) / rate
    x = 3e-5 * np.sin(2 * np.pi * 10 * t)[None]
    left = np.concatenate([stream.process(x), stream.flush()], axis=1)[0]
    for first, end in ((0.75, 2.5), (2.5, 7.0)):  # while the past is short, and later
        inside = (t >= first) & (t < end)
        assert left[inside].std() < 0.03 * x[0, inside].std()


def test_a_stream_fades_from_what_was_said_to_what_is_said():
    class Counting(Stream):
        """Changes all that it sees by the number of the restoration."""

        calls = 0

        def _change(self, x):
            self.calls += 1
            return np.full(x.shape, float(self.calls))

    stream = Counting(None, EEG(), RATE, 1, hop=0.25, lookahead=0.25)
    assert stream.latency == 0.5
    changed = stream.process(np.zeros((1, int(4 * RATE))))[0]
    assert changed[64:].max() > 10
    steps = np.diff(changed[64:])
    assert (steps >= 0).all() and steps.max() < 2 / 64, "without a jump"


def test_blocks_are_apart_and_cover_a_recording():
    taken = {split: list(spans(10_000, 512, split, None)) for split in SPLITS}
    pieces = sorted((first, end, split) for split, found in taken.items() for _, first, end in found)
    assert {split for _, _, split in pieces} == set(SPLITS)
    for (_, end, before), (first, _, after) in pairwise(pieces):
        assert before != after and first - end == 512
    assert pieces[0][0] == 0 and pieces[-1][1] == 10_000
    assert PATTERN.count("train") == 6


def test_eight_subjects_are_split_as_subjects(tmp_path):
    paths = [tmp_path / f"S{s:03d}R{r:02d}.edf" for s in range(1, 11) for r in (1, 2)]
    units, how = units_of(paths, tmp_path)
    found = subject_splits(units)
    assert how == "subject"
    for path in paths:
        assert found[path] == found[tmp_path / path.name.replace("R02", "R01")]
    assert set(found.values()) == set(SPLITS) and subject_splits(units_of(paths[:4], tmp_path)[0]) is None
    assert subject_of(tmp_path / "sub-07_task-rest_eeg.vhdr") == "sub-07"


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [("chb01_01.edf", "chb01_02.edf", "chb02_01.edf"), ("chb01_01.edf", "chb21_04.edf", "chb17a_03.edf"),
     ("A01T.gdf", "A01E.gdf", "A02T.gdf"), ("B0101T.gdf", "B0104E.gdf", "B0201T.gdf"),
     ("SC4001E0-PSG.edf", "SC4002E0-PSG.edf", "SC4011E0-PSG.edf"), ("ST7011J0.edf", "ST7012J0.edf", "ST7021J0.edf"),
     ("subject_3_rest.edf", "subject_3_task.edf", "subject_4_rest.edf")],
)  # fmt: skip
def test_two_files_of_one_person_are_one_subject(one, same, other):
    assert subject_of(Path(one)) == subject_of(Path(same)) is not None
    assert subject_of(Path(other)) not in (None, subject_of(Path(one)))


def test_names_that_tell_no_subject_are_not_called_subjects(tmp_path):
    flat = [tmp_path / f"rec{letter}.edf" for letter in "abcdefghij"]
    units, how = units_of(flat, tmp_path)
    assert how.startswith("file") and "names tell no subjects" in how and len(set(units.values())) == 10
    nested = [tmp_path / f"P{n}" / f"rec{letter}.edf" for n in range(8) for letter in "ab"]
    units, how = units_of(nested, tmp_path)
    assert how.startswith("folder") and set(units.values()) == {f"P{n}" for n in range(8)}
    found = subject_splits(units)
    assert all(found[path] == found[path.with_name("reca.edf")] for path in nested)
    assert units_of([*flat, tmp_path / "sub-01_eeg.edf"], tmp_path)[1].startswith("subject or file")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("EOG1", "eog"), ("HEOG", "eog"), ("Chin EMG", "emg"), ("ECG", "ecg"), ("Status", "other"), ("Fc5.", "eeg")),
        *((name, "eog") for name in ("LOC", "ROC-A1", "EEG LOC-REF", "EEG ROC-LE", "REOG", "ROC / A2")),
        *((name, "other") for name in ("SaO2", "H.R.", "Airflow", "POSITION", "LIGHT", "Snore", "Pulse", "Flow")),
        *((name, "other") for name in ("THOR RES", "ABDO RES", "PHOTIC-REF", "IBI", "BURSTS", "SUPPR", "HR")),
        *((name, "other") for name in ("Temp rectal", "EEG RESP1-REF")),
        *((name, "eog") for name in ("VEO", "HEO", "HEOR", "VEOU", "E1-A2")),
        *(
            (name, "other")
            for name in ("Erg1", "DC1", "DC07-REF", "EEG DC3-REF", "OSAT", "PR", "EtCO2", "PhotoDiode", "GYROX")
        ),
        *((name, "other") for name in ("COUNTER", "Packet Counter", "Nasal Pressure", "Chest", "Abd", "Therm", "BP1")),
        *((name, "emg") for name in ("Leg 1", "LLEG", "R-Leg", "Leg/L", "left leg", "RAT", "LAT-REF", "Tib", "PLM l")),
        *((name, "eeg") for name in ("EEG(sec)", "EEG", "EEG FP1-REF", "E1", "FP1-F7", "Pos9x")),
    ],
)
def test_names_count_more_than_types(name, kind):
    assert kind_of(name, "eeg") == kind


def test_names_of_electrodes_in_their_many_spellings():
    spelt = ("Fc5.", "EEG FP1-REF", "T3", "fpz", "Nose", "C3-M2", "EEG T5-A1")
    assert [plain_name(name) for name in spelt] == ["FC5", "Fp1", "T7", "Fpz", "Nose", "C3", "P7"]
    nets = [f"E{number}" for number in range(1, 257)] + [
        f"{letter}{number}" for letter in "ABCDEFGH" for number in range(1, 33)
    ]
    assert {kind_of(name) for name in (*TEN_TWENTY, *_standard().values(), *nets)} == {"eeg"}


def test_a_bipolar_channel_is_not_taken_for_its_first_electrode():
    bipolar = ("FP1-F7", "FP1-F3", "EEG Fpz-Cz", "T8-P8-0")
    assert [plain_name(name) for name in bipolar] == ["FP1-F7", "FP1-F3", "Fpz-Cz", "T8-P8-0"]
    assert all(is_known(name) for name in bipolar) and not is_known("X1-X2")


@pytest.mark.parametrize(
    ("first", "end", "label"),
    [(0, 100, "T0"), (50, 150, ""), (100, 110, "T2"), (105, 115, ""), (120, 220, ""), (200, 300, "cue"), (1250, 1350, "cue"),
     (200, 310, "cue"), (1300, 1401, ""), (1500, 1600, ""), (-5, 5, "")],
)  # fmt: skip
def test_a_window_is_of_a_class_only_where_that_lasts_throughout(first, end, label):
    events = ((0, 100, "T0"), (100, 110, "T2"), (200, 200, "cue"), (1400, 1400, ""))  # no duration; an edge
    assert in_force(events, first, end) == label


def test_denoisenet_layout_and_its_two_splits(tmp_path):
    generator = np.random.default_rng(0)
    eeg = generator.normal(size=(40, 512))
    np.save(tmp_path / "EEG_all_epochs.npy", np.concatenate([eeg, eeg[:5]]))
    np.save(tmp_path / "EMG_all_epochs.npy", generator.normal(size=(60, 512)))
    free = {split: EEGDenoiseNet(data=tmp_path).dataset(split) for split in SPLITS}
    seen = [{row.tobytes() for row in found.signals} for found in free.values()]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    published = [EEGDenoiseNet(data=tmp_path, protocol="published").dataset(split) for split in SPLITS]
    assert sum(map(len, published)) == 60
    leaked = {row.tobytes() for row in published[0].signals} & {row.tobytes() for row in published[2].signals}
    assert leaked  # that is the flaw which the other split mends
    assert "eog" not in EEGDenoiseNet(data=tmp_path).degradations()


def test_clean_epochs_alone_are_judged_with_the_artifacts_of_a_run(tmp_path):
    assets = EEGDenoiseNet().assets()
    np.save(tmp_path / "EEG_all_epochs.npy", np.random.default_rng(0).normal(size=(30, 512)))
    with pytest.raises(DataError, match="has eeg of EEGdenoiseNet's arrays"):
        EEGDenoiseNet(data=tmp_path).everything()
    domain = EEGDenoiseNet(data=tmp_path).with_assets(assets)
    test = domain.everything()
    assert len(test) == 30 and test.source.endswith(f"; {TRAVELLING}")
    assert {"eog", "emg"} <= set(domain.on_split("test").degradations())
    own = EEGDenoiseNet()
    assert own.with_assets(assets).dataset("test").source == own.dataset("test").source


@pytest.mark.parametrize("kind", ["empty", "zip", "archive", "number"])
def test_arrays_of_eegdenoisenet_that_are_none_get_one_line(tmp_path, kind) -> None:
    place = tmp_path / "EEG_all_epochs.npy"
    if kind == "archive":
        np.savez(tmp_path / "a.npz", eeg=np.zeros((30, 512)))
        (tmp_path / "a.npz").rename(place)
    elif kind == "number":
        np.save(place, np.array(3.0))
    else:
        place.write_bytes(b"" if kind == "empty" else b"PK\x03\x04" + bytes(60))
    said = {"archive": "is an archive of arrays", "number": r"holds float64 \(\)"}.get(kind, "cannot be read")
    with pytest.raises(DataError, match=rf"EEG_all_epochs.npy {said}"):
        EEGDenoiseNet(data=tmp_path).dataset("train")


def test_denoisenet_says_what_is_missing_or_wrong(tmp_path):
    with pytest.raises(DataError, match="none of EEGdenoiseNet's arrays"):
        EEGDenoiseNet(data=tmp_path).dataset("train")
    np.save(tmp_path / "EEG_all_epochs.npy", np.zeros((20, 1024)))
    with pytest.raises(DataError, match=r"\(20, 1024\).*rate 512"):
        EEGDenoiseNet(data=tmp_path).dataset("train")


@pytest.mark.parametrize("protocol", ["leak-free", "published"])
def test_flat_epochs_are_left_out_and_said(tmp_path, protocol):
    generator = np.random.default_rng(0)
    for kind, count in (("EEG", 30), ("EMG", 40)):
        epochs = generator.normal(size=(count, 512))
        epochs[3:5] = 0.0
        np.save(tmp_path / f"{kind}_all_epochs.npy", epochs)
    domain = EEGDenoiseNet(data=tmp_path, protocol=protocol)
    sets = [domain.dataset(split) for split in SPLITS]
    assert all((found.signals.std(axis=-1) > 0).all() for found in sets)
    assert sets[0].unused == ("2 flat epochs of EEG", "2 flat epochs of EMG")
    named = {name for found in sets for name in found.names.tolist()}
    assert "epoch 5" in named and not {"epoch 3", "epoch 4"} & named  # numbers as in the file
    assert (domain.assets()["bank.emg.train"].std(axis=1) > 0).all()


def test_arrays_of_nothing_but_flat_epochs_are_refused(tmp_path):
    np.save(tmp_path / "EEG_all_epochs.npy", np.zeros((30, 512)))
    np.save(tmp_path / "EMG_all_epochs.npy", np.random.default_rng(0).normal(size=(30, 512)))
    with pytest.raises(DataError, match="EEG: 0 of 30 epochs are not flat"):
        EEGDenoiseNet(data=tmp_path).dataset("train")


def test_options_that_make_no_sense():
    with pytest.raises(UserError, match="snr_convention"):
        EEG(snr_convention="decibel")
    with pytest.raises(UserError, match="lowpass"):
        Band(0.5, 200.0, 256.0)


def test_what_is_gained_is_the_ratio_of_powers_after_less_that_before():
    clean = np.random.default_rng(0).normal(size=(5, 1, 512))
    found = scores(Triple(clean, 2 * clean, 1.1 * clean), RATE)
    assert (found["dsnr"], found["rrmse_t"], found["input"]) == pytest.approx((20, 0.1, 1.0))


def test_errors_at_each_level_are_those_of_what_was_observed_at_it():
    domain = EEG()
    clean = np.array(domain.dataset("test").signals[:6], np.float64)
    alone = by_level(domain, lambda given: given, clean, "eog")
    nothing = by_level(domain, lambda given: given.with_signals(1e-4 * given.signals), clean, "eog")
    for level, found in alone.items():
        expected = 10 ** (-level / 10)  # an SNR of amplitudes, as EEGdenoiseNet states it
        assert (found["input"], found["rrmse_t"], found["dsnr"]) == pytest.approx((expected, expected, 0), rel=1e-2)
        assert (nothing[level]["input"], nothing[level]["rrmse_t"]) == pytest.approx((expected, 1.0), rel=1e-2)
        assert nothing[level]["dsnr"] == pytest.approx(-2 * level, abs=0.1)


def test_a_response_is_put_in_300_ms_after_the_middle_of_every_second_window():
    domain = EEG()
    triple, target = evoked_test(domain, lambda given: given, np.zeros((6, 1, 512)), "eog snr=-3 dB")
    assert target.tolist() == [True, False] * 3
    assert int(triple.clean[0, 0].argmax()) - 256 == pytest.approx(0.3 * RATE, abs=1)
    assert triple.clean[::2].max() == pytest.approx(RESPONSE, rel=1e-2) and triple.clean[1::2].max() == 0
    assert peak(triple.clean, target, RATE) == pytest.approx(0.9 * RESPONSE, rel=0.02)


def test_distances_of_windows_are_in_the_units_that_are_stated():
    x = np.random.default_rng(0).normal(size=(40, 3, 512))
    assert psd_distance(np.sqrt(10) * x, x, RATE) == pytest.approx(1)  # a decade of power
    assert covariance_distance(np.e * x, x) == pytest.approx(2 * np.sqrt(3))  # ln e² along each of three axes
    # Along a random direction an even shift is a normal number, whose mean size is sqrt(2 / pi).
    assert sliced_wasserstein(x[:, :1] + 3.0, x[:, :1]) == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.15)
    found = judge(x[:30], x, RATE)
    assert {(entry["n"], entry["n_real"]) for entry in found.values()} == {(30, 40)}


def test_generated_windows_are_told_from_real_ones_by_what_differs():
    domain = EEG(channels=("C3", "Cz", "C4"), classes=("T1", "T2"))
    train, test = domain.dataset("train"), domain.dataset("test")
    real, other = np.array(train.signals, np.float64), np.array(test.signals, np.float64)
    noise = np.random.default_rng(0).normal(size=real.shape) * real.std()
    for distance in (
        lambda x: psd_distance(x, other, RATE),
        lambda x: autocorrelation_distance(x, other),
        lambda x: covariance_distance(x, other),
        lambda x: sliced_wasserstein(x, other),
    ):
        assert distance(other) == pytest.approx(0, abs=1e-6)
        assert 0 < distance(real) < distance(noise)
    features = log_band_powers(RATE)(1e6 * torch.from_numpy(np.array(test.signals[:5])))
    assert features.shape == (5, 3 * 5 + 3) and features.isfinite().all()


def test_a_decoder_trained_on_what_is_generated_is_tested_on_what_is_real():
    domain = EEG(channels=("C3", "Cz", "C4"), classes=("T1", "T2"))
    train, test = domain.dataset("train"), domain.dataset("test")
    found = train_on_synthetic(train.signals, train.labels, test.signals, test.labels)
    assert found["accuracy"] > 0.7 and found["kappa"] > 0.3 and found["f1"] > 0.6
    shuffled = np.random.default_rng(0).permutation(train.labels)
    assert train_on_synthetic(train.signals, shuffled, test.signals, test.labels)["kappa"] < found["kappa"]


def test_recorded_responses_are_found_and_judged(tmp_path):
    generator, times = np.random.default_rng(0), np.linspace(-0.2, 1.0, 100)
    rows = ["ParticipantID,Condition,Trial,Electrode," + ",".join(f"Time{i + 1}" for i in range(100))]
    for trial in range(60):
        wave = 20 * (trial % 2) * np.exp(-0.5 * ((times - 0.3) / 0.05) ** 2) + generator.normal(size=100)
        rows.append(f"1,{trial % 2},{trial},1," + ",".join(f"{v:.3f}" for v in wave))
    (tmp_path / "erp.csv").write_text("\n".join(rows))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    found = find_responses(tmp_path, RATE, 512)
    assert found.signals.shape == (60, 1, 512) and found.target.sum() == 30
    assert peak(found.signals, found.target, RATE) == pytest.approx(17e-6, abs=3e-6)  # volts, after the middle
    assert decoded(found.signals, found.target, RATE) > 0.95
    domain = EEG(data=tmp_path, lowpass=57.6).with_assets(EEG().assets())
    text = erp_section(domain, lambda given: given)["A recorded response"]
    assert "60 single trials of erp.csv" in text and text.count("<tr>") == 4
    assert find_responses(tmp_path / "nothing", RATE, 512) is None and erp_section(EEG(), lambda given: given) == {}


def test_muscle_may_reach_above_the_eeg():
    def share_above(samples, corner):
        power = np.square(np.abs(np.fft.rfft(samples, axis=-1))).reshape(-1, samples.shape[-1] // 2 + 1).sum(0)
        return power[np.fft.rfftfreq(samples.shape[-1], 1 / RATE) > corner].sum() / power.sum()

    same, wide = EEG(lowpass=50.0), EEG(lowpass=50.0, muscle_lowpass=120.0)
    np.testing.assert_array_equal(same.dataset("test").signals, wide.dataset("test").signals)
    for split in ("train", "val", "test"):
        narrow, wider = (np.asarray(d.assets()[f"bank.emg.{split}.samples"]) for d in (same, wide))
        even = 2 * (min(len(narrow), len(wider)) // 2)
        assert share_above(narrow[:even], 60.0) < 0.02 < 0.3 < share_above(wider[:even], 60.0)
        eyes = [np.asarray(d.assets()[f"bank.eog.{split}.samples"]) for d in (same, wide)]
        np.testing.assert_array_equal(*eyes)
    assert (same.band.lowpass, wide.band.lowpass) == (50.0, 120.0)
    # What a run keeps says where its EEG ends, and its options where its muscle does.
    assert wide.assets()["lowpass"] == 50.0
    kept = EEG(muscle_lowpass=120.0).with_assets(wide.assets())
    assert (kept.band.lowpass, kept.degradations()["emg"](snr=0.0)(torch.zeros(1, 1, 512)).y.shape) == (
        120.0,
        (1, 1, 512),
    )
    with pytest.raises(UserError, match="muscle-lowpass"):
        _ = EEG(muscle_lowpass=200.0).band


def test_the_network_hears_what_is_wrong():
    domain = EEG(channels=("C3", "Cz", "C4"))
    train, test = (np.array(domain.dataset(split).signals, np.float64) for split in ("train", "test"))
    extractor = domain.features()
    smooth = Band(0.5, 12.0, RATE).filtered(test, RATE)
    noisy = test + test.std() * np.random.default_rng(0).normal(size=test.shape)

    def features(x):
        return extractor(domain.to_model(torch.from_numpy(np.ascontiguousarray(x)))).features

    assert features(test[:3]).shape == (3, 32)
    torch.testing.assert_close(features(0.1 * test[:3]), features(test[:3]), atol=1e-4, rtol=1e-3)
    rows = [
        judge_features(features(test), features(x), extractor="net").numbers["kid[net]"]["mean"]
        for x in (train, smooth, noisy)
    ]
    assert rows[0] < 0.2 * min(rows[1:])
    assert standard(torch.ones(2, 100), 512.0).abs().max() == 0


def test_generated_windows_are_judged_with_intervals_and_a_yardstick():
    domain = EEG(channels=("C3", "Cz", "C4"))
    real, drawn = (np.array(domain.dataset(split).signals) for split in ("test", "train"))
    names = {"psd_distance", "acf_distance", "swd", "covariance_distance"}
    found = domain.judge_generated(drawn, real)
    noise = domain.judge_generated(np.random.default_rng(0).normal(0, real.std(), real.shape).astype(np.float32), real)
    assert names | {"fid[log-bands]", "kid[log-bands]"} <= set(found)
    for name in names:
        low, high = found[name]["ci95"]
        assert 0 <= low <= found[name]["mean"] <= high and found[name]["real_halves"] >= 0
        assert found[name]["mean"] < noise[name]["mean"] and found[name]["unit"]
    assert "covariance_distance" not in EEG().judge_generated(drawn[:, :1], real[:, :1])


def test_a_decoder_learns_from_what_a_run_draws():
    domain = EEG(channels=("C3", "Cz", "C4"), classes=("T1", "T2"))
    model = NETWORK.build(domain.spec, 2)
    run = Run(Path("run"), "eeg/test", Recipe("", domain, NETWORK, conditional=True), model.eval())
    with pytest.raises(DataError, match="do not vary"):
        decoder_test(run, 20)
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0, 0.1)
    found = decoder_test(run, 20)
    assert set(found) == {"synthetic", "real"} and found["real"]["accuracy"] > 0.7
    single = replace(run, model=NETWORK.build(EEG().spec).eval())
    with pytest.raises(UserError, match="0 classes and 1 channels"):
        decoder_test(single)


def test_windows_of_classes_lie_denser():
    domain = EEG(channels=("C3", "Cz", "C4"))
    classes = EEG(channels=("C3", "Cz", "C4"), classes=("T0", "T1", "T2"))
    assert len(classes.dataset("test")) > 1.2 * len(domain.dataset("test"))  # twice as dense; 5 of 8 lie in one period
    assert len(classes.dataset("train")) <= len(domain.dataset("train"))
