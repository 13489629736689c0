"""The face of the EEG domain for MNE and scikit-learn: epochs, averages, arrays, and what ``fit`` takes."""

import warnings
from dataclasses import replace

import mne
import numpy as np
import pytest
import torch

from domains.eeg import EEG, EEGDenoiseNet, EEGDenoiser
from domains.eeg.simulate import background, bursts
from domains.eeg.survival import of, sections
from vaegan.data import SignalSet
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
from vaegan.models.standardised import StandardisedConfig
from vaegan.recipe import Recipe
from vaegan.run import Run

NETWORK = StandardisedConfig(
    latent=2, width=4, widest=8, depth=2, patch=4, discriminator_width=2, discriminator_hidden=4
)
NAMES = ("Fz", "C3", "C4", "Oz")


def unlearned(tmp_path, **options) -> Run:
    """A run whose network has learned nothing, but changes what it sees."""
    domain = EEG(lowpass=57.6, **options)
    torch.manual_seed(0)
    model = NETWORK.build(domain.spec).eval()
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0, 0.05)
    return Run(tmp_path, "eeg/test", Recipe("", domain, NETWORK), model)


def recording(seconds: float = 20.0, names=NAMES, seed: int = 0) -> mne.io.BaseRaw:
    data, _ = background(np.random.default_rng(seed), names, 128.0, seconds)
    return mne.io.RawArray(data, mne.create_info(list(names), 128.0, "eeg"), verbose="ERROR")


def cut(raw, baseline, tmin=-0.5, tmax=2.0) -> mne.Epochs:
    events = np.column_stack([128 * np.arange(1, 16, 3), np.zeros(5, int), np.ones(5, int)])
    return mne.Epochs(raw, events, tmin=tmin, tmax=tmax, baseline=baseline, preload=True, verbose="ERROR")


@pytest.mark.parametrize("baseline", [(-0.5, 0.0), (None, 0.25), (None, None)])
def test_a_baseline_holds_after_restoring(tmp_path, baseline):
    raw = recording()
    raw.info["bads"] = ["C4"]
    epochs = cut(raw, baseline)
    epochs._data[0, 1, 300] = np.nan  # would make a whole channel one that is no number
    denoiser = EEGDenoiser(unlearned(tmp_path)).fit()
    with pytest.warns(UserWarning, match="not finite"):
        after = denoiser.transform(epochs)
    again = after.copy().apply_baseline(after.baseline, verbose="ERROR")
    rows = [[0, 3], slice(1, None)]
    np.testing.assert_allclose(after.get_data()[:, rows[0]], again.get_data()[:, rows[0]], atol=1e-12)
    np.testing.assert_array_equal(after.get_data()[:, 2], epochs.get_data()[:, 2])
    assert np.abs(after.get_data()[rows[1]] - epochs.get_data()[rows[1]]).max() > 1e-7
    evoked = cut(raw, baseline).average(picks=["Fz", "C3"])
    after = denoiser.transform(evoked)
    again = after.copy().apply_baseline(after.baseline, verbose="ERROR")
    np.testing.assert_allclose(after.data, again.data, atol=1e-12)
    assert np.abs(after.data - evoked.data).max() > 1e-8


def test_what_is_shorter_than_a_window_is_said(tmp_path):
    denoiser = EEGDenoiser(unlearned(tmp_path), sfreq=128.0).fit()
    raw = recording()
    short = cut(raw, None, 0.0, 0.5)
    with pytest.warns(UserWarning, match=r"epochs of 0.5\d* s are shorter than the window of 2 s: .* then cut it"):
        denoiser.transform(short)
    with pytest.warns(UserWarning, match="EvokedArray of 0.5.* is shorter than the window"):
        denoiser.transform(short.average())
    with pytest.warns(UserWarning, match="RawArray of 1.* s is shorter .*; give more of the recording"):
        denoiser.transform(raw.copy().crop(0, 1.0))
    with pytest.warns(UserWarning, match="an array of 1 s is shorter"):
        denoiser.transform(raw.get_data()[:, :128])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoiser.transform(cut(raw, None))
        denoiser.transform(raw)


def muscle(path, seconds: float) -> None:
    values = bursts(np.random.default_rng(1), 128.0, seconds)
    head = "# Sampling Rate (Hz):= 128\n# Labels:= EMG\n"
    path.write_text(head + "\n".join(f"{value:.6f}" for value in 1e6 * values))


def test_artifacts_that_are_borrowed_from_training_are_said(tmp_path):
    recording(60.0).save(tmp_path / "a_raw.fif", verbose="ERROR")
    muscle(tmp_path / "emg.txt", 25.0)  # a tenth holds no window: only training's stretches do
    domain = EEG(data=tmp_path)
    assert domain.borrowed("test") == ("emg",) and domain.borrowed("train") == ()
    told = "; too little emg for val and test: that of training is used there, so it is NOT independent"
    assert told in domain.dataset("train").source and told in domain.dataset("test").source
    banks = {split: domain.on_split(split).degradations()["emg"]().bank for split in ("train", "test")}
    np.testing.assert_array_equal(banks["train"].samples, banks["test"].samples)
    assert banks["train"].vary and not banks["test"].vary
    judged, test = domain.on_split("test"), domain.dataset("test")
    page = sections(judged, lambda given: Recording(given.signals, given.path, ""), test, n=8)[
        "Error at each SNR level"
    ]
    assert "artifacts of the test split, but emg of training" in page and "NOT independent" in page
    enough = tmp_path / "enough"
    enough.mkdir()
    recording(60.0).save(enough / "a_raw.fif", verbose="ERROR")
    muscle(enough / "emg.txt", 120.0)
    assert "independent" not in EEG(data=enough).dataset("test").source


@pytest.fixture
def trained_on(monkeypatch):
    """The domains and folders that ``fit`` would train on and in."""
    found = []
    monkeypatch.setattr("vaegan.workflow.train", lambda name, recipe, out: found.append((recipe.domain, out)))
    return found


def test_epochs_are_trained_on_end_to_end(tmp_path, trained_on):
    raw = recording(60.0)
    raw.info["bads"] = ["C4"]
    raw.set_meas_date(1_500_000_000)
    epochs = mne.make_fixed_length_epochs(raw, 5.0, preload=True, verbose="ERROR")
    EEGDenoiser(folder=tmp_path).fit(epochs)
    domain, _ = trained_on[0]
    joined = mne.io.read_raw(domain.data, verbose="ERROR")
    assert joined.times[-1] == pytest.approx(60, abs=0.1) and joined.info["bads"] == ["C4"]
    assert list(joined.annotations.description) == ["EDGE boundary"] * 11
    starts = [float(name.split()[-2]) for name in domain.dataset("train").names]
    assert len(starts) > 20 and all(start % 5 <= 3.01 for start in starts)  # none runs across a join


def test_what_cannot_be_trained_on_is_refused(tmp_path, trained_on):
    raw = recording(30.0)
    with pytest.raises(DataError, match=r"29 epochs of 1 s .*; expected epochs of at least a window of 2 s"):
        EEGDenoiser(folder=tmp_path).fit(mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="ERROR")[:29])
    for other in (raw.get_data(), cut(raw, None).average(), None):
        with pytest.raises(
            UserError, match=r"neither a run nor a recording .*; expected a run, or an MNE Raw or Epochs"
        ):
            EEGDenoiser(folder=tmp_path).fit(other)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; expected a folder"):
        EEGDenoiser(folder=tmp_path / "file").fit(raw)
    assert not trained_on and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_second_fit_overwrites_nothing(tmp_path, trained_on):
    denoiser = EEGDenoiser(folder=tmp_path / "kept")
    denoiser.fit(recording(50.0))
    denoiser.fit(recording(60.0))
    (first, one), (second, two) = trained_on
    assert one.parent == first.data.parent != second.data.parent == two.parent
    seconds = [mne.io.read_raw(domain.data, verbose="ERROR").n_times / 128 for domain in (first, second)]
    assert seconds == [50, 60]


@pytest.mark.parametrize("channels", [(), ("Fz", "C3", "C4", "Oz")])
def test_arrays_have_any_leading_axes(tmp_path, channels):
    denoiser = EEGDenoiser(unlearned(tmp_path, channels=channels), sfreq=128.0).fit()
    epochs = cut(recording(), None).get_data()[:4]
    single = np.stack([denoiser.transform(epoch) for epoch in epochs])
    assert np.abs(single - epochs).max() > 1e-8
    np.testing.assert_allclose(denoiser.transform(epochs), single, atol=1e-11)
    nested = denoiser.transform(epochs.reshape(2, 2, *epochs.shape[1:]))
    np.testing.assert_allclose(nested.reshape(epochs.shape), single, atol=1e-11)
    scores = denoiser.scores(epochs)
    assert scores.shape == (4, 3)  # 2.5 s each, in stretches of a second
    np.testing.assert_allclose(scores, np.concatenate([denoiser.scores(epoch) for epoch in epochs]), rtol=1e-4)
    if channels:
        for other in (epochs[:, :3], epochs[0, 0]):
            with pytest.raises(
                DataError, match=r"an array of [13] channels; expected \(..., 4, samples\), in the order"
            ):
                denoiser.transform(other)
    else:
        np.testing.assert_allclose(denoiser.transform(epochs[0, 0]), single[0, 0], atol=1e-11)


def test_recordings_without_a_channel_are_named_and_not_counted(tmp_path):
    recording(60.0, ("Fz", "Cz", "T7")).save(tmp_path / "all_raw.fif", verbose="ERROR")
    recording(60.0, ("Fz", "C3")).save(tmp_path / "few_raw.fif", verbose="ERROR")
    bad = recording(60.0, ("Fz", "Cz", "T7", "EOG"))
    bad.info["bads"] = ["Cz"]
    bad.save(tmp_path / "bad_raw.fif", verbose="ERROR")
    found = EEG(data=tmp_path, channels=("FZ", "cz", "T3")).dataset("train")
    assert found.source.startswith("1 recordings (all_raw.fif)") and {n.split()[0] for n in found.names} == {
        "all_raw.fif"
    }
    assert found.unused == ("bad_raw.fif (Cz marked bad; only its EOG is used)", "few_raw.fif (lacks Cz, T7)")
    with pytest.raises(DataError, match=r"has all of the 2 channels \(.*few_raw.fif lacks POz.*; expected Fz POz"):
        EEG(data=tmp_path, channels=("Fz", "POZ")).dataset("train")


def test_spellings_of_electrodes_do_not_matter():
    assert EEG(channels=("FP1", "EEG Fz-REF", "T3", "Foo")).channels == ("Fp1", "Fz", "T7", "Foo")
    with pytest.raises(UserError, match="channels T7 T7; expected each electrode once"):
        EEG(channels=("T3", "T7"))


def test_a_bad_channel_is_told_from_one_that_is_absent(tmp_path):
    denoiser = EEGDenoiser(unlearned(tmp_path, channels=("Fz", "C3", "Pz"))).fit()
    raw = recording(4.0, ("Fz", "C3", "Pz"))
    raw.info["bads"] = ["C3"]
    with pytest.raises(DataError, match=r"RawArray: C3 marked bad, .*; raw.interpolate_bads\(\)"):
        denoiser.transform(raw)
    with pytest.raises(DataError, match="lacks Pz, and C3 marked bad, of the 3 channels"):
        denoiser.transform(raw.drop_channels("Pz"))


@pytest.mark.parametrize("kind", [EEG, EEGDenoiseNet])
def test_the_convention_stands_with_the_numbers_and_leaves_the_data_the_same(kind):
    usual, power = (kind(snr_convention=name).dataset("test") for name in ("eegdenoisenet", "power"))
    assert usual.source.endswith("; SNR convention eegdenoisenet") and power.source.endswith("; SNR convention power")
    assert usual.sha256 == power.sha256


def test_what_is_not_in_volts_is_left_alone_in_epochs_and_in_fit(tmp_path, trained_on):
    edfio = pytest.importorskip("edfio")
    generator, eeg = np.random.default_rng(0), recording(60.0).get_data()[:1]
    other = 50 + 3 * generator.normal(size=eeg.shape[1])
    edfio.Edf(
        [
            edfio.EdfSignal(1e6 * eeg[0], 128, label="Fz", physical_dimension="uV"),
            edfio.EdfSignal(other, 128, label="Oxy", physical_dimension="%"),
            edfio.EdfSignal(other, 128, label="Cz", physical_dimension="kOhm"),
        ]
    ).write(tmp_path / "a.edf")
    raw = mne.io.read_raw(tmp_path / "a.edf", preload=True, verbose="ERROR")
    denoiser = EEGDenoiser(unlearned(tmp_path)).fit()
    epochs = mne.make_fixed_length_epochs(raw, 4.0, preload=True, verbose="ERROR")
    for given in (epochs, epochs.average()):
        with pytest.warns(UserWarning, match=r"2 channels \(Oxy, Cz\) have amplitudes that no scalp EEG has"):
            change = denoiser.transform(given).get_data() - given.get_data()
        change = np.abs(change).reshape(-1, *change.shape[-2:]).max((0, 2))
        assert change[0] > 1e-8 and not change[1:].any()
    EEGDenoiser(folder=tmp_path / "kept").fit(raw)
    assert mne.io.read_raw(trained_on[0][0].data, verbose="ERROR").ch_names == ["Fz"]
    with pytest.raises(DataError, match="no channel to train on is in volts"):
        EEGDenoiser(folder=tmp_path / "kept").fit(raw.pick(["Oxy", "Cz"]))


def test_a_run_before_other_data_says_that_it_brings_its_artifacts(tmp_path):
    domain = EEG(lowpass=57.6)
    path = tmp_path / "a_raw.fif"
    recording(60.0).save(path, verbose="ERROR")
    domain = replace(domain, highpass=1.0)  # other artifacts than the stand-ins of the recording
    run = replace(unlearned(tmp_path), recipe=Recipe("", domain.with_assets(domain.assets()), NETWORK))
    other = run.on(path).domain
    other = replace(other, highpass=0.5)
    assert "simulated" in EEG(data=path).dataset("test").source
    assert "simulated" not in other.dataset("test").source
    assert "artifacts are those that the run was trained and tested on" in other.dataset("test").source
    assert "simulated" in EEG(data=path).with_assets(EEG(data=path).assets()).dataset("test").source


def test_a_section_that_is_missing_says_why(tmp_path):
    domain = EEG(data=tmp_path / "gone", lowpass=57.6, kept={})
    for kept, reason in (({}, "no recorded artifact"), (EEG().assets(), "3 clean windows to judge on")):
        told = of(replace(domain, kept=kept), lambda given: given, SignalSet(np.zeros((3, 1, 512)), np.arange(3)), 8)
        assert "could not be measured" in told["Did the signal survive?"]
        assert reason in told["Did the signal survive?"]
