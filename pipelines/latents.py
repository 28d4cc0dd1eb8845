"""Pictures and films to latents and back through a VAE, in the VAE's own precision."""

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
    """Return the model's latents [n, c, h, w] of `pixels` [n, 3, H, W] in [-1, 1]; of films, [n, c, t, h, w] of
    [n, 3, T, H, W].

    The mode of the posterior and not a sample of it, so that a picture does not depend on what was drawn before it.
    """
    raw = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode()
    mean, deviation = _statistics(vae, raw)
    return (raw - mean) * _scaling_factor(vae) / deviation


def decode(vae: Any, latents: torch.Tensor) -> NDArray[np.uint8]:
    """Return one picture, uint8 [H, W, 3], of `latents` [c, h, w]; of a film's [c, t, h, w], uint8 [T, H, W, 3].

    Raises PipelineError where the result holds a number that is not finite: it would be saved as black.
    """
    batch = latents.unsqueeze(0).to(vae.device, vae.dtype)
    mean, deviation = _statistics(vae, batch)
    pixels = vae.decode(batch * deviation / _scaling_factor(vae) + mean, return_dict=False)[0][0].float()
    require_finite(pixels, "decoding")
    scaled = ((pixels + 1.0) * (_RGB_MAX / 2)).round().clamp(0, _RGB_MAX)
    array: NDArray[np.uint8] = scaled.to(torch.uint8).movedim(0, -1).contiguous().cpu().numpy()
    return array


def require_finite(values: torch.Tensor, stage: str) -> None:
    """Raise PipelineError if `values` holds NaN or infinity, which would otherwise end as a silent black picture."""
    if not bool(torch.isfinite(values).all()):
        raise PipelineError(
            f"The model lost its numbers while {stage} (NaN), so there is nothing to show. "
            "Lower the guidance, choose another scheduler, or load the checkpoint in 32-bit precision."
        )


def _scaling_factor(vae: Any) -> float:
    """Return the one factor of SDXL's latents; WAN's are scaled by their deviations alone."""
    return float(getattr(vae.config, "scaling_factor", 1.0))


def _statistics(vae: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the per-channel mean and deviation that WAN's and some fine-tuned VAEs are normalised by (or 0 and 1)."""
    mean, deviation = getattr(vae.config, "latents_mean", None), getattr(vae.config, "latents_std", None)
    if mean is None or deviation is None:
        return torch.zeros(1).to(like), torch.ones(1).to(like)
    shape = (1, -1, *(1,) * (like.ndim - 2))
    return torch.tensor(mean).view(shape).to(like), torch.tensor(deviation).view(shape).to(like)
