"""The benchmarks' command, and one step of each side on tiny networks."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import step
from benchmarks.__main__ import BENCHMARKS, main
from vaegan.errors import UserError
from vaegan.models import LarsenConfig
from vaegan.training import Feed

needs_peer = pytest.mark.skipif(
    importlib.util.find_spec("pythae") is None, reason="pythae is not installed: pip install 'vaegan[bench]'"
)
TINY = step.Setting(
    rounds=2,
    batch=2,
    spec=step.FACES.resized(16, 16),
    networks=LarsenConfig(latent=4, width=4, decoder_width=2, discriminator_width=2, hidden=8, discriminator_hidden=8),
    conv_channels=4,
)
KEYS = [
    "ratio",
    "gflop_per_item",
    "peer_gflop_per_item",
    "share_of_conv_peak",
    "peak_memory_mib",
    "rounds",
    "batch",
    "spread",
    "environment",
    "notes",
]


def test_without_a_name_the_benchmarks_are_listed(capsys) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BENCHMARKS)


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_every_benchmark_can_be_imported(name) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stpe"], "unknown benchmark 'stpe'; expected one of depth, eeg,"),
        (["step", "--rounds", "0"], "--rounds: '0' is not a whole number of at least 1"),
        (["step", "--batch", "1"], "at least 2"),
        (["step", "--batch", "x"], "'x' is not a whole number"),
        (["step", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["step", "--round", "3"], "unrecognized arguments: --round 3"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(arguments, said, capsys) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_cuda_must_be_there_when_it_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no CUDA device; set --device cpu"):
        step.parse(["--device", "cuda"])
    assert step.parse([])[0].device == "cpu"


def test_quick_gives_way_to_what_is_said_outright() -> None:
    assert [(s.rounds, s.batch) for s in (step.parse([])[0], step.parse(["--quick"])[0])] == [(7, 16), (2, 4)]
    quick, as_json = step.parse(["--quick", "--batch", "3", "--json"])
    assert (quick.rounds, quick.batch, as_json) == (2, 3, True)


def test_a_missing_peer_is_one_line_that_names_the_extra(monkeypatch, capsys) -> None:
    monkeypatch.delitem(sys.modules, "benchmarks.peer", raising=False)
    for name in [name for name in sys.modules if name == "pythae" or name.startswith("pythae.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pythae", None)
    assert main(["step", "--quick"]) == 2
    err = capsys.readouterr().err
    assert "pip install 'vaegan[bench]'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_our_step_moves_every_player(precision) -> None:
    ours = step.our_step(TINY, precision)
    before = {name: [p.clone() for p in player.parameters()] for name, player in ours.model.players().items()}
    ours()
    for name, player in ours.model.players().items():
        assert all(torch.isfinite(p).all() for p in player.parameters())
        pairs = zip(before[name], player.parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs)


def test_memory_is_counted_from_before_the_networks() -> None:
    assert 0 <= step.peak_memory("ours", replace(TINY, batch=64)) < 4096


@needs_peer
def test_the_peer_starts_from_our_weights_and_updates_all_three_players() -> None:
    ours, peer = step.our_step(TINY), step.peer_step(TINY)
    theirs = peer.trainer.model
    players = {name: getattr(theirs, name).network for name in ours.model.players()}
    for name, player in ours.model.players().items():
        pairs = zip(player.parameters(), players[name].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    output = theirs(peer.inputs)
    assert output.update_encoder
    assert output.update_decoder
    assert output.update_discriminator
    peer()
    for name, player in ours.model.players().items():
        pairs = zip(player.parameters(), players[name].parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)


@needs_peer
def test_the_peer_measures_likeness_on_the_same_features() -> None:
    ours, peer = step.our_step(TINY), step.peer_step(TINY)
    features = peer.trainer.model.discriminator(peer.inputs.data, output_layer_levels=[step.LAYER])
    expected = ours.model.discriminator(peer.inputs.data).features[step.LAYER]
    torch.testing.assert_close(features[f"embedding_layer_{step.LAYER}"], expected)


@needs_peer
def test_the_answer_has_its_keys_and_is_silent_json(monkeypatch, capsys) -> None:
    # A process of its own would import everything again; only its place in the answer matters here.
    monkeypatch.setattr(step, "in_own_process", lambda side, setting: 1.0)
    monkeypatch.setattr(step, "parse", lambda arguments: (replace(TINY, rounds=1), "--json" in arguments))
    assert main(["step", "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert not captured.err
    assert list(answer) == KEYS
    assert all(set(answer[key]) == {"fp32", "bf16"} for key in ("ratio", "share_of_conv_peak", "spread"))
    assert answer["peer_gflop_per_item"] > answer["gflop_per_item"] > 0
    for precision, (low, high) in answer["spread"].items():
        assert low <= answer["ratio"][precision] <= high
    assert any("no mixed precision" in note for note in answer["notes"])
    assert main(["step"]) == 0
    assert "times faster than pythae" in capsys.readouterr().out


def test_sonar_frames_are_timed_in_either_precision(capsys) -> None:
    words = ["sonar", "--frames", "2", "--threads", str(torch.get_num_threads()), "--rows", "40", "--columns", "32"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["frame"] == [40, 32]
    assert all(answer[precision]["frames_per_second"] > 0 for precision in ("float32", "bfloat16"))
    assert answer["parameters"] > 100_000


def test_the_oracle_knows_what_spectra_can_tell() -> None:
    from benchmarks.oracle import wiener

    t = np.arange(512) / 256
    x = np.stack([np.sin(2 * np.pi * f * t) for f in (5.0, 11.0)])
    apart, alike = np.sin(2 * np.pi * 60.0 * t), np.sin(2 * np.pi * 5.0 * t + 0.5)
    # What lies elsewhere in the spectrum is taken out whole; of what lies in the same bin half of the amplitude stays.
    np.testing.assert_allclose(wiener(x, x + 3 * apart, 1), x, atol=1e-9)
    np.testing.assert_allclose(wiener(x[0], x[0] + alike, 1), (x[0] + alike) / 2, atol=1e-9)


TINY_NETS = ("--width", "4", "--discriminator-width", "4", "--layers", "0", "--batch", "8", "--n", "100")


def test_added_layers_are_studied_in_parts_of_one_training(tmp_path, monkeypatch) -> None:
    from benchmarks import depth

    seen: list[int] = []
    call = Feed.__call__

    def counted(self: Feed, step: int, progress: float) -> object:
        seen.append(step)
        return call(self, step, progress)

    monkeypatch.setattr(Feed, "__call__", counted)
    out = tmp_path / "with space"
    depth.main(["--samples", "48", "--looks", "3", *TINY_NETS, "--only", "R1", "--out", str(out)])
    assert seen == [0, 1, 2, 3, 4, 5], "no batch twice"
    found = json.loads((out / "depth.json").read_text())["0 added, R1"]
    assert [point["samples"] for point in found["curve"]] == [16, 32, 48]
    assert (out / "0-added-R1.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--samples", "47", "--looks", "6"], "at least a batch before each look, 48 samples"),
        (["--layers", "-1"], "-1 added layers; expected 0 or more; set --layers"),
    ],
)
def test_a_study_of_depth_that_cannot_be_is_one_line(words, said, tmp_path, capsys) -> None:
    assert main(["depth", *TINY_NETS, *words, "--out", str(tmp_path / "d")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("name", "below"), [("depth", ""), ("vae_failure", "x.json")])
def test_a_benchmark_s_out_that_cannot_be_written_is_one_line(name, below, tmp_path, capsys) -> None:
    blocked = tmp_path / "afile"
    blocked.write_text("in the way")
    assert main([name, "--out", str(blocked / below)]) == 2
    assert f"{blocked} is a file" in capsys.readouterr().err.replace("which is a file", f"{blocked} is a file")
