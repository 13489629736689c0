"""A diffusion model of clean signals given damaged ones, through the package ``diffusers``.

The network is the U-Net of Ho et al. (2020); it predicts the clean signal from a noisy one and the observed one (Saharia et
al. 2022 condition in the same way), and is sampled in a few steps of DDIM (Song et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vaegan.degradation.base import normal
from vaegan.errors import UserError
from vaegan.models.base import ModelConfig
from vaegan.models.restorer import Restorer, with_mask
from vaegan.nn.conv import depth_to_space, space_to_depth
from vaegan.signal import SignalSpec

LEVELS = 1000
"""Noise levels of the forward process."""

PATCH = 2
"""Samples along each axis that the network sees as one: a quarter of the time for a picture."""


class Diffusion(Restorer):
    """``x_t, y -> x̂_0``, from pure noise to a restoration in a few steps.

    Args:
        spec: the signals that go in and come out; one of one axis is treated as a picture of one column.
        network: ``diffusers``' UNet2DModel of noisy signal, observed signal and mask, squeezed.
        scheduler: ``diffusers``' DDIMScheduler that predicts clean signals.
        steps: from noise to a restoration.
        multiple: what the squeezed sizes must be multiples of.
    """

    def __init__(self, spec: SignalSpec, network: nn.Module, scheduler: Any, *, steps: int, multiple: int) -> None:
        super().__init__()
        self.spec, self.network, self.scheduler = spec, network, scheduler
        self.steps, self.multiple = steps, multiple

    def players(self) -> dict[str, nn.Module]:
        """``network``."""
        return {"network": self.network}

    def clean(
        self,
        noisy: Float[Tensor, "batch channels *space"],
        seen: Float[Tensor, "batch more *space"],
        level: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch channels *space"]:
        """x̂_0 = y + change(x_t, y, t); ``seen`` is y and its mask."""
        whole = space_to_depth(torch.cat([noisy, seen], dim=1), PATCH)
        picture = whole if whole.dim() == 4 else whole.unsqueeze(-1)
        rows, columns = picture.shape[2:]
        padded = F.pad(picture, (0, -columns % self.multiple, 0, -rows % self.multiple))
        change = self.network(padded, level).sample[..., :rows, :columns].to(noisy.dtype)
        change = depth_to_space(change if noisy.dim() == 4 else change.squeeze(-1), PATCH, noisy.shape[2:])
        return seen[:, : noisy.shape[1]] + change

    def noised(
        self,
        x: Float[Tensor, "batch channels *space"],
        noise: Float[Tensor, "batch channels *space"],
        level: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch channels *space"]:
        """x_t = √ᾱ_t x + √(1 − ᾱ_t) noise (Ho et al. 2020, eq. 4)."""
        noisy: Tensor = self.scheduler.add_noise(x, noise, level)
        return noisy

    def restored(
        self,
        y: Float[Tensor, "batch channels *space"],
        mask: Bool[Tensor, "batch 1 *space"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels *space"]:
        """A draw of x given y; without a generator that from one noise, the same for every item of any batch."""
        seen = with_mask(y, mask)
        if generator is None:
            fixed = torch.Generator().manual_seed(0)
            x = normal((1, *y.shape[1:]), y.cpu(), fixed).to(y).expand_as(y)
        else:
            x = normal(tuple(y.shape), y, generator)
        self.scheduler.set_timesteps(self.steps)
        for level in self.scheduler.timesteps.tolist():
            levels = torch.full((len(y),), level, dtype=torch.int64, device=y.device)
            x = self.scheduler.step(self.clean(x, seen, levels), level, x).prev_sample
        return x


@dataclass(frozen=True)
class DiffusionConfig(ModelConfig):
    """A small conditional diffusion model; needs the extra ``diffusion``.

    Args:
        width: channels of the finest level, a multiple of 8; each coarser one doubles them up to ``widest``.
        widest: most channels of a level, a multiple of 8.
        depth: how often the size is halved.
        blocks: residual blocks a level.
        steps: from noise to a restoration; more make it sharper, fewer closer to the mean.
    """

    width: int = 48
    widest: int = 128
    depth: int = 2
    blocks: int = 1
    steps: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "widest"):
            if getattr(self, name) % 8:
                raise UserError(
                    f"{name} is {getattr(self, name)}", expected="a multiple of 8", mend=f"set --model.{name}"
                )

    def build(self, spec: SignalSpec, classes: int = 0) -> Diffusion:
        """The model for these signals; classes are not used.

        Raises:
            UserError: where ``diffusers`` is not installed.
        """
        unet, scheduler = _diffusers()
        channels = [min(self.width * 2**level, self.widest) for level in range(self.depth + 1)]
        network = unet(
            in_channels=(2 * spec.channels + 1) * PATCH**spec.dims,
            out_channels=spec.channels * PATCH**spec.dims,
            block_out_channels=tuple(channels),
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            layers_per_block=self.blocks,
            norm_num_groups=8,
            add_attention=False,
        )
        for parameter in network.get_submodule("conv_out").parameters():  # a new network changes nothing
            nn.init.zeros_(parameter)
        process = scheduler(
            num_train_timesteps=LEVELS,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            timestep_spacing="trailing",
            clip_sample=False,
        )
        return Diffusion(spec, network, process, steps=self.steps, multiple=2**self.depth)


def _diffusers() -> tuple[Callable[..., nn.Module], Callable[..., Any]]:
    try:
        from diffusers.models.unets.unet_2d import UNet2DModel
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    except ImportError as error:
        raise UserError(
            f"a diffusion model without the package diffusers ({error})",
            expected="the extra 'diffusion'",
            mend="run pip install 'vaegan[diffusion]'",
        ) from error
    return UNet2DModel, DDIMScheduler
