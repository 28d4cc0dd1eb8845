"""What one SDXL request turns into: a pipeline of shared parts with a scheduler of its own, and its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipelines.acceleration import build_scheduler
from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest
from pipelines.latents import encode, pixels_from_image
from pipelines.recipes import DEFAULT_STRENGTH, INPAINT_STRENGTH, recipe
from pipelines.references import open_mask, open_picture
from pipelines.request_checks import check_request, steps_at

SEAM_BLUR_PX = 4
_PIPELINE_CLASSES: dict[str, Any] = {
    "text": StableDiffusionXLPipeline,
    "image": StableDiffusionXLImg2ImgPipeline,
    "inpaint": StableDiffusionXLInpaintPipeline,
}


@dataclass(frozen=True, kw_only=True)
class SdxlJob:
    """One job, ready to denoise. `mode` is text, image or inpaint; `strength` is None for text.

    `arguments` are what the pipeline's call takes beside the prompts, the seeds and the guidance. `few_step` says that
    the distilled UNet draws. `picture` and `mask` are set when inpainting.
    """

    mode: str
    pipe: Any
    scheduler: Any
    scheduler_name: str
    arguments: dict[str, Any]
    strength: float | None = None
    few_step: bool = False
    picture: Image.Image | None = None
    mask: Image.Image | None = None

    def finish(self, pixels: NDArray[np.uint8]) -> Image.Image:
        """Return the decoded picture, with the reference's own pixels outside the mask: the VAE would soften them."""
        image = Image.fromarray(pixels)
        if self.picture is None or self.mask is None:
            return image
        return Image.composite(image, self.picture, self.mask.filter(ImageFilter.GaussianBlur(SEAM_BLUR_PX / 2)))


def plan_job(base: Any, checkpoint: Checkpoint, request: GenerationRequest, few_step_unet: Any | None) -> SdxlJob:
    """Return the job of `request` on the parts of the loaded pipeline `base`. Raises InvalidRequest.

    A strength of 1 without a mask ignores the reference picture.
    """
    check_request(checkpoint, request)
    mode, strength = _mode(request)
    few_step = few_step_unet is not None and request.quality == "fast"
    steps = steps_at(request.steps, strength)
    scheduler_name = request.scheduler or recipe(checkpoint, request.quality).scheduler
    scheduler = build_scheduler(scheduler_name, base.scheduler.config, steps)
    pipe = _assemble(mode, base, scheduler, few_step_unet if few_step else base.unet)
    arguments: dict[str, Any] = {"num_inference_steps": steps}
    picture = mask = None
    if mode == "text":
        arguments |= {"width": request.width, "height": request.height}
    else:
        assert request.image is not None
        picture = open_picture(request.image, request.width, request.height)
        arguments |= {"strength": strength, "image": encode(base.vae, pixels_from_image(picture)).to(pipe.unet.dtype)}
    if mode == "inpaint":
        assert request.image is not None
        assert request.mask is not None
        mask = open_mask(request.mask, request.image, request.width, request.height)
        arguments |= {"mask_image": mask, "width": request.width, "height": request.height}
    return SdxlJob(
        mode=mode,
        pipe=pipe,
        scheduler=scheduler,
        scheduler_name=scheduler_name,
        arguments=arguments,
        strength=strength,
        few_step=few_step,
        picture=picture,
        mask=mask,
    )


def _mode(request: GenerationRequest) -> tuple[str, float | None]:
    if request.mask is not None:
        return "inpaint", request.strength or INPAINT_STRENGTH
    if request.image is not None and request.strength != 1:
        return "image", request.strength or DEFAULT_STRENGTH
    return "text", None


def _assemble(mode: str, base: Any, scheduler: Any, unet: Any) -> Any:
    """Build a pipeline over the shared parts by its constructor: `from_pipe` would cast them to float32."""
    pipe = _PIPELINE_CLASSES[mode](
        **(base.components | {"scheduler": scheduler, "unet": unet}),
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
