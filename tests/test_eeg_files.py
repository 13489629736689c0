"""EEG files: what is read, what is written back, and what is said about files that are broken."""

import datetime
import gzip
import tracemalloc
import warnings

import mne
import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat
from scipy.signal import resample

from domains.eeg import EEG, EEGDenoiseNet, EEGDenoiser
from domains.eeg.band import Band
from domains.eeg.edf import _record
from domains.eeg.header import Header
from domains.eeg.reading import opened, returned
from domains.eeg.simulate import background
from domains.eeg.sources import load_sources
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


def quiet(seconds: float = 60.0, names=("Fz", "C3", "C4", "Oz")) -> mne.io.BaseRaw:
    """A recording at 128 Hz of nothing but EEG, all of whose windows are clean."""
    data, _ = background(np.random.default_rng(0), names, 128.0, seconds)
    return mne.io.RawArray(data, mne.create_info(list(names), 128.0, "eeg"), verbose="ERROR")


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
    with pytest.raises(DataError, match="lacks Pz, of the 2 channels"):
        EEG(channels=("Cz", "Pz"), lowpass=60.0).read(path)


def test_of_several_channels_of_an_electrode_the_bare_one_is_restored(tmp_path):
    domain = EEG(channels=("Fz", "Cz"), lowpass=60.0)
    names = ("Cz-A2", "Fz", "FZ-REF", "Oz", "Cz", "Cz-M1")
    recording(names=names, types=["eeg"] * 6).save(tmp_path / "a_raw.fif", verbose="ERROR")
    with pytest.warns(
        UserWarning, match="a_raw.fif: Cz-A2, FZ-REF, Cz-M1 are of electrodes that other channels are of too"
    ):
        found = domain.read(tmp_path / "a_raw.fif")
    assert found.metadata.picks == (1, 4) and found.signals.shape[:2] == (1, 2)


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
    for array in (np.zeros((2, 0)), np.array(3.0), np.array(["1", "2"])):
        with pytest.raises(DataError, match=r"an array of .* of shape .*; expected numbers"):
            EEGDenoiser(run, sfreq=256.0).fit().transform(array)
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
    test = run.domain.dataset("test")
    domain = run.domain.on_split("test")
    found = sections(domain, lambda given: run.restore(given).recording, test, n=8)
    assert set(found) == {"Error at each SNR level", "Did the signal survive?"}
    assert found["Error at each SNR level"].count("<tr>") == 1 + 2 * 11
    assert "decoder" in found["Did the signal survive?"] and "data:image/png" in found["Did the signal survive?"]
    left_alone = sections(domain, lambda given: Recording(given.signals, given.path, ""), test, n=8)
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
    domain = EEGDenoiseNet().on_split("test")
    test = domain.dataset("test")
    found = domain.report_sections(lambda given: Recording(given.signals, given.path, ""), test, 8)
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
    left = [other_than_samples(place, 2) for place in (path, tmp_path / "out" / path.name)]
    assert left[0] == left[1]


def other_than_samples(path, picked):
    """The bytes of an EDF or BDF, but for the samples and the limits of its first signals."""
    header, content = Header.read(path), bytearray(path.read_bytes())
    for signal in range(picked):
        for field in ("low", "high", "least", "most"):
            content[header.place(field, signal)] = bytes(8)
        header.body(content)[:, header.span(signal)] = 0
    return bytes(content)


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_what_is_not_in_volts_is_no_eeg_and_stays_as_it_was(run, tmp_path, ending):
    edfio = pytest.importorskip("edfio")
    signal = edfio.BdfSignal if ending == "bdf" else edfio.EdfSignal
    generator, path = np.random.default_rng(0), tmp_path / f"night.{ending}"
    given = {"C3": "uV", "O1": "mV", "Cz": "", "SaO2": "%", "Paw": "cmH2O"}
    sizes = {"C3": 30.0, "O1": 0.03, "Cz": 30.0, "SaO2": 1.0, "Paw": 90.0}
    signals = [
        signal(
            95 * (name == "SaO2") + sizes[name] * generator.normal(size=960), 160, label=name, physical_dimension=unit
        )
        for name, unit in given.items()
    ]
    (edfio.Bdf if ending == "bdf" else edfio.Edf)(signals).write(path)
    with pytest.warns(UserWarning, match=r"1 channels are called as electrodes \(Cz.*no unit of volts"):
        clean = run.restore(path)
    clean.write(tmp_path / "out" / path.name)
    read = edfio.read_bdf if ending == "bdf" else edfio.read_edf
    before, after = read(path), read(tmp_path / "out" / path.name)
    assert [s.physical_dimension for s in after.signals] == list(given.values())
    for one, other in zip(before.signals, after.signals, strict=True):
        moved = np.abs(other.data - one.data).max() / sizes[one.label]
        assert 0.001 < moved < 10 if one.label in ("C3", "O1") else moved == 0


@pytest.mark.parametrize(
    ("unit", "volts"), [(b"UV", 1e-6), ("µV".encode(), 1e-6), (b"microV", 1e-6), (b"nV", 1e-9), (b"MV", 1e-3)]
)
def test_units_that_mne_does_not_know_are_volts_too(run, tmp_path, unit, volts):
    path, scale = tmp_path / "a.edf", 1e-6 / volts
    mne.export.export_raw(path, recording(), verbose="ERROR")
    given = mne.io.read_raw(path, preload=True, verbose="ERROR").get_data()
    content, header = bytearray(path.read_bytes()), Header.read(path)
    content[header.place("unit", 0)] = unit.ljust(8)
    for field in ("low", "high"):
        content[header.place(field, 0)] = f"{float(header.fields[field][0]) * scale:.8g}"[:8].ljust(8).encode()
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = run.restore(path)
    raw = clean.recording.metadata.instance
    np.testing.assert_allclose(raw.get_data()[0], given[0], atol=1e-3 * np.abs(given[0]).max())
    clean.write(tmp_path / "b.edf")
    back = mne.io.read_raw(tmp_path / "b.edf", preload=True, verbose="ERROR").get_data()
    wanted = returned(clean.recording.metadata, clean.recording.signals.reshape(clean.recording.metadata.seen.shape))
    np.testing.assert_allclose(back[0] * volts, wanted.get_data()[0], atol=2e-8)
    assert Header.read(tmp_path / "b.edf").fields["unit"][0].encode("latin-1") == unit


def test_a_date_that_edf_does_not_hold_is_left_out_and_said(run, tmp_path):
    raw = recording()
    raw.set_annotations(None)
    raw.set_meas_date(datetime.datetime(1924, 5, 1, 10, tzinfo=datetime.timezone.utc))  # as BIDS makes dates anonymous
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    with pytest.warns(UserWarning, match="from 1985 to 2084; the recording's, 1924-05-01, is left out"):
        written = run.restore(tmp_path / "a_raw.fif").write(tmp_path / "a.edf")
    assert mne.io.read_raw(written, verbose="ERROR").n_times == raw.n_times


def test_what_holds_no_raw_recording_is_sent_elsewhere(run, tmp_path):
    whole = quiet(12.0)
    epochs = mne.make_fixed_length_epochs(whole, 3.0, preload=True, verbose="ERROR")
    epochs.save(tmp_path / "a-epo.fif", verbose="ERROR")
    epochs.average().save(tmp_path / "a-ave.fif", verbose="ERROR")
    for name in ("a-epo.fif", "a-ave.fif"):
        with pytest.raises(DataError, match=r"read_epochs, averages with mne\.read_evokeds.*EEGDenoiser\.transform"):
            run.restore(tmp_path / name)


def test_brainvision_bytes_in_another_order_are_refused(run, tmp_path):
    path = tmp_path / "a.vhdr"
    mne.export.export_raw(path, quiet(12.0), verbose="ERROR")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("BinaryFormat=", "UseBigEndianOrder=NO\nBinaryFormat="), encoding="utf-8")
    run.restore(path)
    path.write_text(text.replace("BinaryFormat=", "UseBigEndianOrder=YES\nBinaryFormat="), encoding="utf-8")
    with pytest.raises(DataError, match="UseBigEndianOrder=YES; expected samples with their lowest byte first"):
        run.restore(path)


def test_an_edf_without_any_volts_gets_one_line(run, tmp_path):
    edfio = pytest.importorskip("edfio")
    path = tmp_path / "a.edf"
    edfio.Edf([edfio.EdfSignal(np.random.default_rng(0).normal(size=960), 160, label="Fz")]).write(path)
    with pytest.raises(DataError, match=r"no EEG channel .*not in volts, by the header: Fz"):
        run.restore(path)


def test_an_edf_of_several_rates_keeps_them_and_its_header(run, tmp_path):
    edfio = pytest.importorskip("edfio")
    generator, path = np.random.default_rng(0), tmp_path / "a.edf"
    more = {"physical_dimension": "uV", "prefiltering": "HP:0.1Hz LP:60Hz"}
    waves = 30 * np.cumsum(generator.normal(size=(2, 128 * 6)), axis=1) / 10
    signals = [edfio.EdfSignal(row, 128, label=name, **more) for name, row in zip(("Fz", "Cz"), waves, strict=True)]
    signals.append(edfio.EdfSignal(1000 * generator.normal(size=256 * 6), 256, label="ECG", **more))
    edfio.Edf(signals, patient=edfio.Patient(code="P123", sex="F")).write(path)
    clean = run.restore(path)
    seen, restored = clean.recording.metadata.seen[0], clean.recording.signals[:, 0]
    clean.write(tmp_path / "out" / "a.edf")
    before, after = edfio.read_edf(path), edfio.read_edf(tmp_path / "out" / "a.edf")
    assert [s.sampling_frequency for s in after.signals] == [128, 128, 256]
    assert {s.prefiltering for s in after.signals} == {"HP:0.1Hz LP:60Hz"}
    assert after.local_patient_identification == before.local_patient_identification == "P123 F X X"
    np.testing.assert_array_equal(after.signals[2].digital, before.signals[2].digital)
    for row in range(2):  # the model sees 256 Hz
        moved = after.signals[row].data - before.signals[row].data
        wanted = 1e6 * resample(restored[row] - seen[row], 128 * 6)
        below = [np.fft.irfft(np.fft.rfft(values)[: 6 * 50]) for values in (moved, wanted)]  # 50 Hz
        assert np.abs(moved).max() > 0.1 and (below[0] - below[1]).std() < 0.05 * below[1].std()


def test_a_header_with_letters_that_are_no_ascii_is_kept_as_far_as_edf_goes(run, tmp_path):
    edfio = pytest.importorskip("edfio")
    path = tmp_path / "a.edf"
    noise = 30 * np.random.default_rng(0).normal(size=960)
    edfio.Edf(
        [edfio.EdfSignal(noise, 160, label="Cz", physical_dimension="uV", prefiltering="HP:0.1Hz")],
        patient=edfio.Patient(code="P7", name="Mueller"),
    ).write(path)
    old = path.read_bytes()
    path.write_bytes(old.replace(b"Mueller ", b"M\xfcller  ", 1).replace(b"uV  ", b"\xb5V  ", 1))
    run.restore(path).write(tmp_path / "out" / "a.edf")
    assert other_than_samples(path, 1) == other_than_samples(tmp_path / "out" / "a.edf", 1)
    moved = [mne.io.read_raw(place, verbose="ERROR").get_data() for place in (path, tmp_path / "out" / "a.edf")]
    assert 1e-8 < np.abs(moved[1] - moved[0]).max() < 1e-3


@pytest.mark.parametrize(("field", "text"), [("low", b"-3276,8"), ("high", b"-3276.8"), ("most", b"-32768")])
def test_an_edf_that_is_calibrated_oddly_keeps_its_size(run, tmp_path, field, text):
    edfio = pytest.importorskip("edfio")
    path = tmp_path / "a.edf"
    noise = 30 * np.random.default_rng(0).normal(size=960)
    limits = {"physical_dimension": "uV", "physical_range": (-3276.8, 3276.7)}
    edfio.Edf([edfio.EdfSignal(noise, 160, label=name, **limits) for name in ("Cz", "Pz")]).write(path)
    content = bytearray(path.read_bytes())
    content[Header.read(path).place(field, 0)] = text.ljust(8)
    path.write_bytes(content)
    clean = run.restore(path)
    clean.write(tmp_path / "out" / "a.edf")
    wanted = returned(clean.recording.metadata, clean.recording.signals[:, 0][None]).get_data()
    found = mne.io.read_raw(tmp_path / "out" / "a.edf", verbose="ERROR").get_data()
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()


def discontinuous(path):
    """An EDF+D of ten seconds, with a minute missing after the fifth."""
    edfio = pytest.importorskip("edfio")
    noise = 30 * np.random.default_rng(0).normal(size=1600)
    said = [edfio.EdfAnnotation(0.5, None, "eyes closed"), edfio.EdfAnnotation(8.5, None, "T0")]
    more = {"patient": edfio.Patient(code="P7", sex="F"), "annotations": said}
    edfio.Edf([edfio.EdfSignal(noise, 160, label="Cz", physical_dimension="uV")], **more).write(path)
    content, header = bytearray(path.read_bytes()), Header.read(path)
    content[192:197] = b"EDF+D"
    records = header.body(content)[:, header.span(1)]
    for number, record in enumerate(records):
        texts = [part for part in record.tobytes().split(b"\0") if part]
        texts[0] = f"+{number if number < 5 else number + 60}\x14\x14".encode()
        texts = [text.replace(b"+8.5\x14", b"+68.5\x14") for text in texts]
        record[:] = np.frombuffer((b"\0".join(texts) + b"\0").ljust(len(record), b"\0"), np.uint8)
    path.write_bytes(content)


def test_an_edf_with_time_between_its_records_keeps_it(run, tmp_path):
    path = tmp_path / "a.edf"
    discontinuous(path)
    assert Header.read(path).gaps(path) == [5]
    with pytest.warns(UserWarning, match=r"time is missing before 1 of its data records \(EDF\+D\)"):
        run.restore(path).write(tmp_path / "out" / "a.edf")
    assert other_than_samples(path, 1) == other_than_samples(tmp_path / "out" / "a.edf", 1)


def test_an_edf_with_time_between_its_records_is_not_trained_on(tmp_path):
    discontinuous(tmp_path / "a.edf")
    with pytest.raises(DataError, match=r"a.edf \(an EDF\+D: time is missing between its records\)"):
        load_sources(tmp_path, rate=256, samples=128, highpass=0.5, lowpass=None)


@pytest.mark.parametrize(
    ("samples", "rate", "record"),
    [(960, 160.0, (160, 1.0)), (30_720, 256.0, (256, 1.0)), (30_011, 256.0, (256, 1.0)), (300_007, 250.0, (250, 1.0)),
     (1025 * 9, 512.5, (615, 1.2)), (3_000, 1000 / 3, (300, 0.9)), (30_008, 256.0, (248, 0.96875))],
)  # fmt: skip
def test_a_data_record_is_about_a_second_long_and_fits_the_header(samples, rate, record):
    assert _record(samples, rate) == record
    assert len(str(record[1])) <= 8


def test_a_length_that_no_records_hold_is_filled_up_and_said(run, tmp_path):
    samples, rate, path = 3_011, 256.0, tmp_path / "a_raw.fif"
    raw = recording(rate, samples / rate)
    assert raw.n_times == samples
    raw.save(path, verbose="ERROR")
    with pytest.warns(UserWarning, match="3,011 samples; the last is repeated 61 times"):
        written = run.restore(path).write(tmp_path / "out" / "a.edf")
    after = mne.io.read_raw(written, preload=True, verbose="ERROR")
    assert after.info["sfreq"] == rate and after.n_times == samples + 61
    end = after.get_data()[:4, samples - 1 :]
    np.testing.assert_array_equal(end, np.broadcast_to(end[:, :1], end.shape))


def test_values_that_no_edf_holds_get_one_line(run, tmp_path):
    raw, path = recording(), tmp_path / "a_raw.fif"
    raw.set_channel_types({"Status": "misc"})
    raw._data[5] = 1e9 * (1 + raw._data[5])
    raw.save(path, verbose="ERROR")
    with pytest.raises(DataError, match=r"Status reaches from 1e\+09 .*8 characters"):
        run.restore(path).write(tmp_path / "out" / "a.edf")
    assert not list((tmp_path / "out").iterdir())


def test_what_annotations_call_bad_is_not_trained_on(tmp_path):
    raw = quiet()

    def starts(onset=0.0, lasting=0.0, what="nothing"):
        path = tmp_path / f"{what}_raw.fif"
        raw.set_annotations(mne.Annotations(onset, lasting, what)).save(path, verbose="ERROR")
        names = EEG(data=path, lowpass=50.0).everything().names
        return np.unique([float(name.split()[-2]) for name in names])

    every, bad = starts(), starts(20.0, 10.0, "BAD_muscle")
    np.testing.assert_array_equal(bad, every[(every + 2 <= 20) | (every >= 30)])
    # A boundary is a point: EEGLAB's duration says how much was cut out there.
    for what in ("boundary", "EDGE boundary", "BAD boundary"):
        torn = starts(20.2, 10.0, what)
        np.testing.assert_array_equal(torn, every[(every + 2 <= 20.2) | (every > 20.2)])
    with pytest.raises(DataError, match=r"what annotations call bad"):
        starts(0.0, 60.0, "bad")


def test_windows_of_a_class_lie_within_it(tmp_path):
    raw, path = quiet(), tmp_path / "a_raw.fif"
    onsets = np.arange(0.0, 60.0, 6.0)
    said = [("T1", "T2")[i % 2] for i in range(10)]
    raw.set_annotations(mne.Annotations(onsets, [4.0, 0.5] * 5, said))  # a T2 of half a second holds no window
    raw.save(path, verbose="ERROR")
    found = EEG(data=path, lowpass=50.0, classes=("T1",)).everything()
    within = np.asarray([float(name.split()[-2]) for name in found.names]) % 12
    assert len(found) > 20 and within.max() <= 2.0 + 0.05
    with pytest.raises(DataError, match="in which T2 is in force throughout"):
        EEG(data=path, lowpass=50.0, classes=("T2",)).everything()


def test_the_report_says_what_recordings_were_divided_by(tmp_path):
    for folder, name in (("files", "night_{}_raw.fif"), ("people", "sub-{}_raw.fif"), ("one", "chb01_0{}_raw.fif")):
        (tmp_path / folder).mkdir()
        for number in range(8):
            quiet(41.0, ("Fz",)).save(tmp_path / folder / name.format(number), verbose="ERROR")
    said = [EEG(data=tmp_path / folder, lowpass=50.0).dataset("train").source for folder in ("files", "people", "one")]
    assert "divided by file, as names tell no subjects;" in said[0]
    assert "divided by subject;" in said[1] and "divided by tenths of each recording" in said[2]


def test_a_broken_companion_does_not_stop_training(tmp_path):
    quiet().save(tmp_path / "a_raw.fif", verbose="ERROR")
    bad = quiet(names=("C3", "C4"))
    bad.info["bads"] = ["C3", "C4"]
    bad.save(tmp_path / "bad_raw.fif", verbose="ERROR")
    header = "# Sampling Rate (Hz):= 1000\n# Labels:= EMG\n"
    whole = gzip.compress((header + "\n".join(map(str, np.random.default_rng(0).normal(size=5000)))).encode())
    (tmp_path / "short.txt.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "mad.txt.gz").write_bytes(whole[:40] + bytes(200) + whole[240:])
    (tmp_path / "empty.txt").write_text(header)
    (tmp_path / "rate.txt").write_text(header.replace("1000", "0") + "1\n2\n")
    found = EEG(data=tmp_path, lowpass=50.0).dataset("train")
    assert len(found) > 20 and all(name.startswith("a_raw.fif") for name in found.names)
    assert {line.split(" (")[0] for line in found.unused} == {
        "bad_raw.fif", "short.txt.gz", "mad.txt.gz", "empty.txt", "rate.txt",
    }  # fmt: skip
    assert "no EEG channel in volts that is not marked bad" in " ".join(found.unused)


def test_gaps_in_epochs_are_bridged_too(run):
    epochs = mne.make_fixed_length_epochs(recording(256.0), 2.0, preload=True, verbose="ERROR")
    epochs._data[1, 2, 100:140] = np.nan
    with pytest.warns(UserWarning, match="not finite"):
        cleaned = EEGDenoiser(run).fit().transform(epochs).get_data()
    gap = np.isnan(cleaned)
    assert gap[1, 2, 100:140].all() and gap.sum() == 40


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0])
def test_an_annotation_lies_where_its_score_was_measured(run, seconds):
    raw = recording(128.0, 60.6, names=["Fz", "Cz"], types=["eeg", "eeg"]).set_annotations(None)
    denoiser = EEGDenoiser(run, threshold=0.0).fit()
    marked = denoiser.annotate(raw, seconds)
    scores = denoiser.scores(raw, seconds)[0]
    ends = marked.annotations.onset - marked.first_time + marked.annotations.duration
    assert len(scores) == len(ends) == round(60.6 / (round(256 * seconds) / 256))
    np.testing.assert_allclose(ends[:-1], (np.arange(len(ends) - 1) + 1) * round(256 * seconds) / 256, atol=1e-6)
    assert ends[-1] == pytest.approx(raw.n_times / 128)  # the end is scored too
    denoiser.threshold = np.inf
    assert len(denoiser.annotate(raw, seconds).annotations) == 0


def test_a_truncated_brainvision_file_gets_one_line(run, tmp_path):
    path = tmp_path / "a.vhdr"
    mne.export.export_raw(path, recording(), verbose="ERROR")
    data = path.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(DataError, match="truncated"):
        run.restore(path)


def test_a_brainvision_file_keeps_its_markers_and_its_header(run, tmp_path):
    pytest.importorskip("pybv")
    path, written = tmp_path / "a.vhdr", tmp_path / "out" / "b.vhdr"
    mne.export.export_raw(path, recording(), verbose="ERROR")
    markers = path.with_suffix(".vmrk")
    more = (
        b"Mk8=Comment,eyes closed\\1 relaxed,500,1,0\nMk9=Bad Interval,Bad Min-Max,600,30,1\nMk10=Stimulus,S1,700,1,3\n"
    )
    markers.write_bytes(markers.read_bytes() + more)
    path.write_bytes(path.read_bytes() + "\nImpedance [kOhm] at 12:00:00 :\nFp1: 5 \u00b5S\n".encode())
    run.restore(path).write(written)
    kept = [place.with_suffix(".vmrk").read_bytes() for place in (path, written)]
    assert kept[1] == kept[0].replace(b"DataFile=a.eeg", b"DataFile=b.eeg") and b"DataFile=b.eeg" in kept[1]
    lines = [place.read_bytes().splitlines() for place in (path, written)]
    other = {old.split(b"=")[0] for old, new in zip(*lines, strict=True) if old != new}
    assert {b"DataFile", b"MarkerFile"} <= other <= {b"DataFile", b"MarkerFile", b"BinaryFormat", b"DataOrientation"}
    before, after = (mne.io.read_raw(place, preload=True, verbose="ERROR") for place in (path, written))
    assert "Comment/eyes closed, relaxed" in after.annotations.description
    assert list(after.annotations.description) == list(before.annotations.description)
    np.testing.assert_allclose(after.get_data()[4], before.get_data()[4], rtol=1e-6)
    assert 1e-7 < np.abs(after.get_data()[:4] - before.get_data()[:4]).max() < 1e-3
    assert sorted(place.name for place in written.parent.iterdir()) == ["b.eeg", "b.vhdr", "b.vmrk"]


@pytest.mark.parametrize("companion", [False, True])
def test_an_eeglab_file_keeps_its_types_its_ica_and_its_fields(run, tmp_path, companion):
    pytest.importorskip("eeglabio")
    path, written = tmp_path / "a.set", tmp_path / "out" / "a.set"
    mne.export.export_raw(path, recording(), verbose="ERROR")
    content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    fields = content["EEG"][0, 0] if "EEG" in content else content
    values = dict(zip(fields.dtype.names, fields, strict=True)) if "EEG" in content else dict(fields)
    places = values["chanlocs"]
    kinds = np.asarray([["EOG" if i == 4 else "EEG" for i in range(places.size)]], object).reshape(places.shape)
    locations = {name: places[name] for name in places.dtype.names if name != "type"} | {"type": kinds}
    kept = np.empty(places.shape, [(name, object) for name in locations])
    for name, column in locations.items():
        kept[name] = column
    channels = places.size
    values |= {"chanlocs": kept, "icaweights": np.eye(channels), "subject": "S07", "comments": "awake", "ref": "Cz"}
    if companion:
        np.asarray(values["data"], "<f4").T.tofile(tmp_path / "a.fdt")
        values |= {"data": "a.fdt", "datfile": "a.fdt"}
    savemat(path, {"EEG": values}, oned_as="row")
    before = mne.io.read_raw(path, preload=True, verbose="ERROR")
    assert before.get_channel_types().count("eog") == 1
    run.restore(path).write(written)
    after = mne.io.read_raw(written, preload=True, verbose="ERROR")
    assert after.ch_names == before.ch_names and after.get_channel_types() == before.get_channel_types()
    assert list(after.annotations.description) == list(before.annotations.description)
    np.testing.assert_allclose(after.get_data()[4], before.get_data()[4], rtol=1e-6)
    assert 1e-7 < np.abs(after.get_data()[:4] - before.get_data()[:4]).max() < 1e-3
    found = loadmat(written, squeeze_me=True)["EEG"]
    assert (str(found["subject"]), str(found["comments"]), str(found["ref"])) == ("S07", "awake", "Cz")
    np.testing.assert_array_equal(found["icaweights"].item(), np.eye(channels))


def test_what_is_no_number_is_not_trained_on(tmp_path):
    path = tmp_path / "a_raw.fif"
    raw = quiet()
    raw._data[1, 128 * 20 : 128 * 40] = np.nan
    raw.save(path, verbose="ERROR")
    found = EEG(data=path, lowpass=50.0).everything()
    assert np.isfinite(found.signals).all()
    starts = {name: [] for name in ("Fz", "C3")}
    for name in found.names:
        if name.split()[1] in starts:
            starts[name.split()[1]].append(float(name.split()[-2]))
    assert not [start for start in starts["C3"] if 18.0 < start < 40.0]
    assert [start for start in starts["Fz"] if 20.0 < start < 38.0], "the others were recorded all the while"


def test_a_recording_in_several_files_is_one(tmp_path):
    path = tmp_path / "long_raw.fif"
    raw = quiet(600.0)
    raw.save(path, split_size="2MB", buffer_size_sec=1.0, fmt="double", verbose="ERROR")
    assert len(list(tmp_path.iterdir())) > 2
    found = load_sources(tmp_path, rate=128, samples=128, highpass=0.5, lowpass=None)
    assert [trace.path.name for trace in found.traces] == ["long_raw.fif"]
    assert found.traces[0].eeg.shape[1] == raw.n_times
    assert found.unused and all("a further part of another file" in line for line in found.unused)


def test_the_band_is_that_of_the_eeg_and_not_of_a_faster_channel(tmp_path):
    edfio = pytest.importorskip("edfio")
    generator = np.random.default_rng(0)
    rates = {"Cz": 100, "ECG": 400}
    edfio.Edf(
        [
            edfio.EdfSignal(30 * generator.normal(size=60 * rate), rate, label=name, physical_dimension="uV")
            for name, rate in rates.items()
        ]
    ).write(tmp_path / "a.edf")
    assert load_sources(tmp_path, rate=256, samples=512, highpass=0.5, lowpass=None).band.lowpass == 45.0


def test_windows_do_not_run_across_a_new_segment(tmp_path):
    raw = quiet()
    raw.set_annotations(mne.Annotations([30.0], [0.0], ["New Segment/"]))
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    found = EEG(data=tmp_path / "a_raw.fif", lowpass=50.0).everything()
    starts = np.asarray([float(name.split()[-2]) for name in found.names])
    assert len(starts) > 20 and not ((starts > 28.05) & (starts < 29.95)).any()


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


def test_a_long_recording_is_not_held_many_times_over():
    channels, samples = 16, 100_000
    noise = 1e-5 * np.random.default_rng(0).normal(size=(channels, samples))
    names = [f"EEG{i + 1}" for i in range(channels)]
    raw = mne.io.RawArray(noise, mne.create_info(names, 256.0, "eeg"), verbose="ERROR")
    tracemalloc.start()
    try:
        original = opened(raw, Band(0.5, 57.6, 256.0), channels=(), what="a recording", named=False)
        reading = tracemalloc.get_traced_memory()[1]
        restored = 0.5 * original.seen
        tracemalloc.reset_peak()
        whole = returned(original, restored)
        writing = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What a model sees is held in single precision, and while it is gathered once more; a copy of the recording is written.
    assert reading < 2.0 * noise.nbytes
    assert writing < 3.0 * noise.nbytes
    np.testing.assert_allclose(whole.get_data(), noise - 0.5 * original.seen[0], atol=1e-11)
