"""Pictures to latents and back through a VAE, in the VAE's own precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelines.contract import PipelineError

_RGB_MAX = 255.0


def pixels_from_image(image: Image.Image) -> torch.Tensor:
    """Return float32 [1, 3, height, width] in [-1, 1] of an RGB picture."""
    array = np.asarray(image, dtype=np.float32) / (_RGB_MAX / 2) - 1.0
    return torch.from_numpy(array).permute(2, 0, 1).unsqueeze(0)


def encode(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return the model's latents [n, c, h, w] of `pixels` [n, 3, H, W] in [-1, 1].

    The mode of the posterior and not a sample of it, so that a picture does not depend on what was drawn before it.
    """
    raw = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode()
    mean, deviation = _statistics(vae, raw)
    return (raw - mean) * vae.config.scaling_factor / deviation


def decode(vae: Any, latents: torch.Tensor) -> NDArray[np.uint8]:
    """Return one picture, uint8 [H, W, 3], of `latents` [c, h, w].

    Raises PipelineError where the result holds a number that is not finite: it would be saved as black.
    """
    batch = latents.unsqueeze(0).to(vae.device, vae.dtype)
    mean, deviation = _statistics(vae, batch)
    pixels = vae.decode(batch * deviation / vae.config.scaling_factor + mean, return_dict=False)[0][0].float()
    require_finite(pixels, "decoding")
    scaled = ((pixels + 1.0) * (_RGB_MAX / 2)).round().clamp(0, _RGB_MAX)
    array: NDArray[np.uint8] = scaled.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return array


def require_finite(values: torch.Tensor, stage: str) -> None:
    """Raise PipelineError if `values` holds NaN or infinity, which would otherwise end as a silent black picture."""
    if not bool(torch.isfinite(values).all()):
        raise PipelineError(
            f"The model lost its numbers while {stage} (NaN), so there is no picture. "
            "Lower the guidance, choose another scheduler, or load the checkpoint in 32-bit precision."
        )


def _statistics(vae: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the per-channel mean and deviation some fine-tuned VAEs are normalised by (0 and 1 for the others)."""
    mean, deviation = getattr(vae.config, "latents_mean", None), getattr(vae.config, "latents_std", None)
    if mean is None or deviation is None:
        return torch.zeros_like(like[:1, :1, :1, :1]), torch.ones_like(like[:1, :1, :1, :1])
    shape = (1, -1, 1, 1)
    return torch.tensor(mean).view(shape).to(like), torch.tensor(deviation).view(shape).to(like)
