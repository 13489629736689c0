"""EEG files: what is read, what is written back, and what is said about files that are broken."""

import datetime
import warnings

import mne
import numpy as np
import pytest
import torch

from domains.eeg import EEG, EEGDenoiseNet, EEGDenoiser
from domains.eeg.survival import sections
from vaegan.cli import main
from vaegan.domain import Recording
from vaegan.errors import DataError, UserError
from vaegan.models.standardised import StandardisedConfig
from vaegan.recipe import Recipe
from vaegan.run import load, recipe_json, save

NETWORK = StandardisedConfig(
    latent=2, width=4, widest=8, depth=2, patch=4, discriminator_width=2, discriminator_hidden=4
)
NAMES = ["Fp1", "Fz", "Cz", "Oz", "EOG1", "Status"]
TYPES = ["eeg", "eeg", "eeg", "eeg", "eeg", "stim"]


def recording(rate: float = 160.0, seconds: float = 6.0, names=NAMES, types=TYPES) -> mne.io.BaseRaw:
    generator = np.random.default_rng(0)
    n = int(rate * seconds)
    data = 2e-5 * np.cumsum(generator.normal(size=(len(names), n)), axis=1) / 10
    data[[i for i, kind in enumerate(types) if kind == "stim"]] = np.arange(n) // 100 % 3
    raw = mne.io.RawArray(data, mne.create_info(list(names), rate, list(types)), verbose="ERROR")
    raw.set_meas_date(1_500_000_000)
    raw.set_annotations(mne.Annotations([0.5, 2.25], [0.0, 1.5], ["T1", "blink"], orig_time=raw.info["meas_date"]))
    return raw


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose network has learned nothing, but changes what it sees."""
    folder = tmp_path_factory.mktemp("run") / "eeg"
    domain = EEG(lowpass=60.0)
    recipe = Recipe("", domain, NETWORK)
    torch.manual_seed(0)
    model = NETWORK.build(domain.spec)
    torch.nn.init.normal_(model.decoder.last.layer.weight, 0, 0.05)
    save(folder, "eeg/test", recipe, model)
    recipe_json("eeg/test", recipe, folder, "test")
    return load(folder)


@pytest.mark.parametrize("ending", ["edf", "bdf", "vhdr", "set", "fif"])
def test_a_file_comes_back_in_its_own_format(run, tmp_path, ending):
    raw, path = recording(), tmp_path / f"given_raw.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw.save(path, verbose="ERROR") if ending == "fif" else mne.export.export_raw(path, raw, verbose="ERROR")
        before = mne.io.read_raw(path, preload=True, verbose="ERROR")
        written = run.restore(path).write(tmp_path / "out" / path.name)
        after = mne.io.read_raw(written, preload=True, verbose="ERROR")
    assert written.name == path.name
    assert after.ch_names == before.ch_names and after.info["sfreq"] == before.info["sfreq"]
    assert after.n_times == before.n_times
    np.testing.assert_allclose(after.annotations.onset, before.annotations.onset, atol=1e-3)
    assert list(after.annotations.description) == list(before.annotations.description)
    one, other = before.get_data(), after.get_data()
    eeg = [NAMES.index(name) for name in ("Fp1", "Fz", "Cz", "Oz")]
    np.testing.assert_allclose(other[4], one[4], atol=2e-8)  # the EOG channel is no business of the model's
    assert np.abs(other[eeg] - one[eeg]).max() > 1e-7
    assert np.abs(other[eeg] - one[eeg]).max() < 1e-3  # volts


def test_bads_and_positions_go_beside_an_edf(run, tmp_path):
    raw = recording()
    raw.info["bads"] = ["Fz"]
    path = tmp_path / "kept_raw.fif"
    raw.save(path, verbose="ERROR")
    clean = run.restore(path)
    with pytest.warns(UserWarning, match="cannot hold"):
        written = clean.write(tmp_path / "out" / "kept.edf")
    beside = mne.io.read_raw(written.with_name("kept_raw.fif"), preload=True, verbose="ERROR")
    assert beside.info["bads"] == ["Fz"]
    np.testing.assert_allclose(beside.get_data()[1], raw.get_data()[1], atol=1e-12)  # a bad channel is left alone


def test_a_format_that_nobody_writes_becomes_a_fif(run, tmp_path):
    path = tmp_path / "a_raw.fif"
    recording().save(path, verbose="ERROR")
    with pytest.warns(UserWarning, match="not written"):
        written = run.restore(path).write(tmp_path / "a.gdf")
    assert written.name == "a_raw.fif" and written.is_file()


@pytest.mark.parametrize(
    ("kind", "words"),
    [("no eeg", "no EEG channel"), ("short", "at least one window"), ("truncated", "truncated"), ("text", "broken header"),
     ("missing", "does not exist"), ("kind", "no recording that is read")],
)  # fmt: skip
def test_files_that_cannot_be_used_get_one_line(run, tmp_path, kind, words):
    path = tmp_path / "x.edf"
    if kind == "no eeg":
        path = tmp_path / "x_raw.fif"
        recording(names=["EOG1", "ECG"], types=["eeg", "eeg"]).save(path, verbose="ERROR")
    elif kind == "short":
        path = tmp_path / "x_raw.fif"
        recording(seconds=1.0).save(path, verbose="ERROR")
    elif kind == "truncated":
        mne.export.export_raw(path, recording(), verbose="ERROR")
        path.write_bytes(path.read_bytes()[:-3000])
    elif kind == "text":
        path.write_text("this is no EDF")
    elif kind == "kind":
        path = tmp_path / "x.txt"
        path.write_text("1 2 3")
    with pytest.raises(DataError, match=words):
        run.restore(path)


def test_stretches_that_are_no_numbers_are_said_and_stay(run):
    raw = recording()
    raw._data[2, 300:340] = np.nan
    with pytest.warns(UserWarning, match="not finite"):
        cleaned = EEGDenoiser(run).fit().transform(raw)
    assert np.isnan(cleaned.get_data()[2, 300:340]).all()
    assert np.isfinite(np.delete(cleaned.get_data(), np.s_[300:340], axis=1)).all()


def test_unknown_names_are_said(run):
    raw = recording(rate=5000.0, seconds=3.0, names=["X1", "X2"], types=["eeg", "eeg"])
    with pytest.warns(UserWarning, match="10-05"):
        cleaned = EEGDenoiser(run).fit().transform(raw)
    assert cleaned.info["sfreq"] == 5000 and cleaned.n_times == raw.n_times


def test_a_multi_channel_model_names_the_channels_that_it_misses(tmp_path):
    path = tmp_path / "a_raw.fif"
    recording().save(path, verbose="ERROR")
    with pytest.raises(DataError, match="lacks 1 of 2 channels: Pz"):
        EEG(channels=("Cz", "Pz"), lowpass=60.0).read(path)


def test_annotations_out_of_order_are_kept(run, tmp_path):
    raw, path = recording(), tmp_path / "a.edf"
    raw.set_annotations(mne.Annotations([4.0, 1.0, 2.0], 0.0, ["c", "a", "b"], orig_time=raw.info["meas_date"]))
    mne.export.export_raw(path, raw, verbose="ERROR")
    after = mne.io.read_raw(run.restore(path).write(tmp_path / "out" / "a.edf"), verbose="ERROR")
    assert list(after.annotations.description) == ["a", "b", "c"]


def test_the_denoiser_gives_back_what_it_was_given(run):
    raw = recording(256.0)
    denoiser = EEGDenoiser(run, sfreq=256.0).fit(raw)
    before = raw.get_data()
    cleaned = denoiser.transform(raw)
    np.testing.assert_array_equal(raw.get_data(), before)
    epochs = mne.make_fixed_length_epochs(raw, 2.0, preload=True, verbose="ERROR")
    back = denoiser.transform(epochs)
    assert back.get_data().shape == epochs.get_data().shape and (back.events == epochs.events).all()
    evoked = epochs.average(picks="eeg")
    assert denoiser.transform(evoked).data.shape == evoked.data.shape
    array = denoiser.transform(before[:4])
    np.testing.assert_allclose(array, cleaned.get_data()[:4], atol=1e-9)
    assert denoiser.get_params()["threshold"] == 1.0


def test_the_denoiser_asks_for_what_it_needs(run):
    with pytest.raises(UserError, match="not fitted"):
        EEGDenoiser(run).transform(recording())
    with pytest.raises(UserError, match="sfreq"):
        EEGDenoiser(run).fit().transform(np.zeros((2, 600)))
    with pytest.raises(UserError, match="Raw, Epochs or Evoked"):
        EEGDenoiser(run).fit().transform("a.edf")
    with pytest.raises(UserError, match=r"Epochs.* to annotate"):
        EEGDenoiser(run).fit().annotate(mne.make_fixed_length_epochs(recording(), 2.0, verbose="ERROR"))
    with pytest.raises(UserError, match="a stream of 0"):
        EEGDenoiser(run).fit().stream(256.0, 0)
    with pytest.raises(UserError, match="neither a run nor a recording"):
        EEGDenoiser().fit(np.zeros((2, 600)))


def test_scores_become_annotations(run):
    raw = recording()
    denoiser = EEGDenoiser(run, threshold=0.0).fit()
    marked = denoiser.annotate(raw)
    scores = denoiser.scores(raw)
    assert scores.shape == (1, 6) and (scores > 0).all()
    found = [a for a in marked.annotations if a["description"].startswith("artifact")]
    assert len(found) == 6 and len(raw.annotations) == 2
    onsets = [a["onset"] - marked.first_time for a in marked.annotations if a["description"] == "T1"]
    np.testing.assert_allclose(onsets, [0.5])


@pytest.mark.parametrize("rate", [160.0, 256.0])
def test_a_stream_gives_every_sample_once_within_its_latency(run, rate):
    x = recording(rate, 5.0).get_data()[:4]
    stream = EEGDenoiser(run).fit().stream(rate, 4)
    out, given = [], 0
    for first in range(0, x.shape[1], 37):
        chunk = x[:, first : first + 37]
        out.append(stream.process(chunk))
        given += chunk.shape[1]
        assert given - sum(part.shape[1] for part in out) < stream.latency * rate
    out.append(stream.flush())
    whole = np.concatenate(out, axis=1)
    assert whole.shape == x.shape and np.abs(whole - x).max() > 1e-8
    untouched = EEGDenoiser(run).fit().stream(rate, 4)
    untouched._change = np.zeros_like
    same = np.concatenate([untouched.process(x), untouched.flush()], axis=1)
    np.testing.assert_array_equal(same, x)
    with pytest.raises(UserError, match="chunk"):
        stream.process(np.zeros((3, 10)))


def test_the_sections_of_the_report(run):
    found = sections(run.domain, lambda given: run.restore(given).recording, n=8)
    assert set(found) == {"Error at each SNR level", "Did the signal survive?"}
    assert found["Error at each SNR level"].count("<tr>") == 1 + 2 * 11
    assert "decoder" in found["Did the signal survive?"] and "data:image/png" in found["Did the signal survive?"]
    left_alone = sections(run.domain, lambda given: Recording(given.signals, given.path, ""), n=8)
    assert "changes by 0 %" in left_alone["Did the signal survive?"]


def test_restore_by_command_on_the_real_recording(run, test_data, tmp_path, capsys):
    whole = mne.io.read_raw(test_data / "eeg" / "eegmmidb" / "S001R03.edf", preload=True, verbose="ERROR")
    path = tmp_path / "S001R03.edf"
    mne.export.export_raw(path, whole.crop(0, 12.0, include_tmax=False), verbose="ERROR")
    assert main(["restore", str(run.folder), str(path), "--out", str(tmp_path / "out")]) == 0
    before = mne.io.read_raw(path, preload=True, verbose="ERROR")
    after = mne.io.read_raw(tmp_path / "out" / "S001R03.edf", preload=True, verbose="ERROR")
    assert after.ch_names == before.ch_names and after.n_times == before.n_times
    assert after.info["sfreq"] == before.info["sfreq"]
    np.testing.assert_allclose(after.annotations.onset, before.annotations.onset)
    assert list(after.annotations.description) == list(before.annotations.description)


def test_the_real_recordings_become_windows_and_banks(test_data):
    domain = EEG(data=test_data / "eeg")
    sets = {split: domain.dataset(split) for split in ("train", "test")}
    assert "tenths of each recording" in sets["train"].source and "57.6 Hz" in sets["train"].source
    assert any("ieeg" in name for name in sets["train"].unused)
    assert all(len(found) > 500 for found in sets.values())
    assert np.abs(sets["train"].signals).max() < 150e-6
    assert not {*sets["train"].groups.tolist()} & {*sets["test"].groups.tolist()}
    assert {"bank.eog.test.samples", "bank.emg.test.samples"} <= set(domain.assets())
    assert "simulated" not in sets["train"].source


def test_the_published_figures_stand_beside_the_run():
    found = EEGDenoiseNet().report_sections(lambda given: Recording(given.signals, given.path, ""), 8)
    table = found["Beside the published figures"]
    assert table.count("published</th>") == 8 and "0.336" in table and "0.816" in table
    assert table.count("this run") == 2 and "cannot be compared" in table
    assert "Did the signal survive?" in found


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_an_edf_keeps_its_header_its_other_channels_and_late_annotations(run, tmp_path, ending):
    edfio = pytest.importorskip("edfio")
    signal = edfio.BdfSignal if ending == "bdf" else edfio.EdfSignal
    generator, path = np.random.default_rng(0), tmp_path / f"a.{ending}"
    more = {"transducer_type": "AgAgCl", "prefiltering": "HP:0.1Hz LP:75Hz"}
    eeg = [
        signal(30 * generator.normal(size=960), 160, label=name, physical_dimension="uV", **more)
        for name in ("Fz", "Cz")
    ]
    slow = signal(generator.normal(size=60), 10, label="Resp", physical_dimension="mV")
    said = [
        edfio.EdfAnnotation(4.5, 0.5, "b"),
        edfio.EdfAnnotation(1.25, None, "a"),
        edfio.EdfAnnotation(9.0, None, "late"),
    ]
    given = (edfio.Bdf if ending == "bdf" else edfio.Edf)(
        [*eeg, slow],
        patient=edfio.Patient(code="P7", sex="F"),
        recording=edfio.Recording(startdate=datetime.date(2020, 5, 17), equipment_code="amp"),
        starttime=datetime.time(10, 11, 12),
        annotations=said,
    )
    given.write(path)
    with pytest.warns(UserWarning, match="outside of the recording"):
        clean = run.restore(path)
    clean.write(tmp_path / "out" / path.name)
    read = edfio.read_bdf if ending == "bdf" else edfio.read_edf
    before, after = read(path), read(tmp_path / "out" / path.name)
    assert after.annotations == before.annotations and len(after.annotations) == 3
    assert after.local_patient_identification == before.local_patient_identification
    assert after.local_recording_identification == before.local_recording_identification
    assert after.startdatetime == before.startdatetime and after.data_record_duration == before.data_record_duration
    assert (after.signals[0].transducer_type, after.signals[0].prefiltering) == tuple(more.values())
    assert after.signals[2].sampling_frequency == 10  # MNE brings it to 160 Hz
    np.testing.assert_array_equal(after.signals[2].digital, before.signals[2].digital)
    assert 0.01 < np.abs(after.signals[0].data - before.signals[0].data).max() < 1000


def test_a_truncated_brainvision_file_gets_one_line(run, tmp_path):
    path = tmp_path / "a.vhdr"
    mne.export.export_raw(path, recording(), verbose="ERROR")
    data = path.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(DataError, match="truncated"):
        run.restore(path)


def test_bads_go_beside_a_brainvision_file(run, tmp_path):
    raw, path = recording(), tmp_path / "kept_raw.fif"
    raw.info["bads"] = ["Fz"]
    raw.save(path, verbose="ERROR")
    with pytest.warns(UserWarning, match="cannot hold"):
        written = run.restore(path).write(tmp_path / "out" / "kept.vhdr")
    beside = mne.io.read_raw(written.with_name("kept_raw.fif"), verbose="ERROR")
    assert beside.info["bads"] == ["Fz"] and "0.5 to 60 Hz at 256 Hz" in beside.info["description"]
    assert not list(written.parent.glob(".vaegan-*"))


def test_a_unit_that_is_wrong_is_said(run, tmp_path):
    raw, path = recording(), tmp_path / "a_raw.fif"
    raw._data[:5] *= 1e6
    raw.save(path, verbose="ERROR")
    with pytest.warns(UserWarning, match="unit right"):
        run.restore(path)


def test_a_recording_on_disk_is_restored_too(run, tmp_path):
    path = tmp_path / "a_raw.fif"
    recording().save(path, verbose="ERROR")
    lazy = mne.io.read_raw(path, verbose="ERROR")
    denoiser = EEGDenoiser(run).fit()
    whole = denoiser.transform(mne.io.read_raw(path, preload=True, verbose="ERROR")).get_data()
    np.testing.assert_array_equal(denoiser.transform(lazy).get_data(), whole)
    assert not lazy.preload and np.abs(whole - lazy.get_data()).max() > 1e-7
    epochs = mne.make_fixed_length_epochs(lazy, 2.0, preload=False, verbose="ERROR")
    assert np.abs(denoiser.transform(epochs).get_data() - epochs.get_data()).max() > 1e-7


@pytest.mark.parametrize("dated", [True, False])
def test_scores_of_a_cropped_recording_are_marked_where_they_are(run, dated):
    raw = recording(seconds=10.0).set_annotations(None)
    raw.set_meas_date(1_500_000_000 if dated else None)
    raw.set_annotations(mne.Annotations([5.0], [1.0], ["x"]))
    raw.crop(4.0, 9.0, include_tmax=False)
    marked = EEGDenoiser(run, threshold=0.0).fit().annotate(raw)
    found = [a for a in marked.annotations if a["description"].startswith("artifact")]
    np.testing.assert_allclose([a["onset"] - marked.first_time for a in found], range(5))
    np.testing.assert_allclose([a["onset"] for a in marked.annotations if a["description"] == "x"], [5.0])


def test_a_stream_agrees_with_the_whole_recording(run):
    raw = recording(256.0, 12.0)
    denoiser = EEGDenoiser(run).fit()
    x = raw.get_data()[:4]
    stream = denoiser.stream(256.0, 4)
    streamed = np.concatenate([stream.process(x), stream.flush()], axis=1) - x
    whole = denoiser.transform(raw).get_data()[:4] - x
    inside = np.s_[4 * 256 : -2 * 256]
    for one, other in zip(streamed, whole, strict=True):
        assert np.corrcoef(one[inside], other[inside])[0, 1] > 0.7


def test_the_denoiser_takes_a_run_of_eegdenoisenet_too(tmp_path):
    domain = EEGDenoiseNet()
    recipe = Recipe("", domain, NETWORK)
    save(tmp_path / "run", "eeg/test", recipe, NETWORK.build(domain.spec))
    recipe_json("eeg/test", recipe, tmp_path / "run", "test")
    raw = recording()
    denoiser = EEGDenoiser(tmp_path / "run").fit()
    assert denoiser.transform(raw).get_data().shape == raw.get_data().shape
    assert denoiser.stream(160.0, 4).process(raw.get_data()[:4]).shape[1] > 0
