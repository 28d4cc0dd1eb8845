"""What one SDXL request turns into: a pipeline of shared parts with a scheduler of its own, and its arguments."""

from __future__ import annotations

import math
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

from pipelines.acceleration import accelerate
from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest
from pipelines.latents import encode, pixels_from_image
from pipelines.loading import LoadOptions, device_kind
from pipelines.recipes import DEFAULT_STRENGTH, INPAINT_STRENGTH, recipe
from pipelines.references import open_mask, open_picture
from pipelines.request_checks import check_request, steps_at
from pipelines.runs import OnStep
from pipelines.schedulers import build_scheduler
from pipelines.switches import say_once, switch, switched

SEAM_BLUR_PX = 4
GUIDED_SHARE = 0.4
"""Share of the steps after which a guidance cutoff comes: what diffusers' SDXLCFGCutoffCallback is shown with."""
_CUTOFF_FACTS = {"kind": "guidance_cutoff", "guided_share": GUIDED_SHARE}
_GUIDED_TENSORS = ("prompt_embeds", "add_text_embeds", "add_time_ids")
_PIPELINE_CLASSES: dict[str, Any] = {
    "text": StableDiffusionXLPipeline,
    "image": StableDiffusionXLImg2ImgPipeline,
    "inpaint": StableDiffusionXLInpaintPipeline,
}


@dataclass(frozen=True, kw_only=True)
class SdxlJob:
    """One job, ready to denoise. `mode` is text, image or inpaint; `strength` is None for text.

    `arguments` are what the pipeline's call takes beside the prompts, the seeds and the guidance. `few_step` says that
    the distilled UNet draws; `on_step` is that of a Denoising. `acceleration` says for the receipt what computes.
    `picture` and `mask` are set when inpainting.
    """

    mode: str
    pipe: Any
    scheduler: Any
    scheduler_name: str
    arguments: dict[str, Any]
    acceleration: dict[str, Any]
    strength: float | None = None
    few_step: bool = False
    on_step: OnStep | None = None
    picture: Image.Image | None = None
    mask: Image.Image | None = None

    def finish(self, pixels: NDArray[np.uint8]) -> Image.Image:
        """Return the decoded picture, with the reference's own pixels outside the mask: the VAE would soften them."""
        image = Image.fromarray(pixels)
        if self.picture is None or self.mask is None:
            return image
        return Image.composite(image, self.picture, self.mask.filter(ImageFilter.GaussianBlur(SEAM_BLUR_PX / 2)))


def plan_job(
    base: Any, checkpoint: Checkpoint, request: GenerationRequest, few_step_unet: Any | None, options: LoadOptions
) -> SdxlJob:
    """Return the job of `request` on the parts of the pipeline `base`, loaded by `options`. Raises InvalidRequest.

    A strength of 1 without a mask ignores the reference picture.
    """
    check_request(checkpoint, request)
    mode, strength = _mode(request)
    wanted = accelerate("sdxl", request.quality, device_kind(options.device.type), options.switches)
    few_step = few_step_unet is not None and wanted.few_step
    unet = few_step_unet if few_step else base.unet
    switch(unet, wanted, options)
    steps = steps_at(request.steps, strength)
    scheduler_name = request.scheduler or recipe(checkpoint, request.quality).scheduler
    scheduler = build_scheduler(scheduler_name, base.scheduler.config, steps)
    pipe = _assemble(mode, base, scheduler, unet)
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
    # The inpainting pipeline halves its mask together with the guidance, and cannot go on without.
    cuts = wanted.cache == "guidance_cutoff" and mode != "inpaint" and request.guidance > 1
    if cuts:
        say_once(f"SDXL takes no cache: its guidance ends after {GUIDED_SHARE:.0%} of the steps instead")
        arguments |= {"callback_on_step_end_tensor_inputs": ["latents", *_GUIDED_TENSORS]}
    return SdxlJob(
        mode=mode,
        pipe=pipe,
        scheduler=scheduler,
        scheduler_name=scheduler_name,
        arguments=arguments,
        acceleration=switched(unet) | {"cache": _CUTOFF_FACTS if cuts else None},
        strength=strength,
        few_step=few_step,
        on_step=_end_guidance if cuts else None,
        picture=picture,
        mask=mask,
    )


def _end_guidance(pipe: Any, done: int, tensors: dict[str, Any]) -> None:
    """End classifier-free guidance after its share of the steps: the rest costs half.

    SDXLCFGCutoffCallback of diffusers 0.42 does the same for a single picture only.
    """
    if done == math.ceil(GUIDED_SHARE * pipe.num_timesteps):
        pipe._guidance_scale = 1.0
        for name in _GUIDED_TENSORS:
            tensors[name] = tensors[name].chunk(2)[1]


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
