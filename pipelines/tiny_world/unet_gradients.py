"""Parts of the UNet's training batches."""

from __future__ import annotations

from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from pipelines.tiny_world.latents import LatentSet
from pipelines.tiny_world.text import train_text
from pipelines.tiny_world.training import Log, Settings, maybe_compiled, to_channels_last
from pipelines.tiny_world.unet import BatchMaker, build_unet, velocity_loss
from pipelines.tiny_world.upsampling import replace_upsampling
from pipelines.tiny_world.workers import PARTS


def trainable_unet(settings: Settings) -> UNet2DConditionModel:
    """The UNet as it is trained: channels last, plain attention, and upsampling whose gradient compiles."""
    unet = build_unet(settings)
    to_channels_last(unet)
    replace_upsampling(unet)
    unet.set_attn_processor(AttnProcessor())
    return unet


class UnetParts:
    """A ``PartSource`` of the UNet."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.model = trainable_unet(settings)
        tower = train_text(settings, Log(settings.state))
        for parameter in tower.parameters():
            parameter.requires_grad_(False)
        self.batches = BatchMaker(LatentSet(settings.state), tower, max(1, settings.batch // PARTS), seed)
        self.loss = maybe_compiled(velocity_loss, settings.compiled)

    def loss_of_part(self, step: int) -> Tensor:
        """The loss of one freshly drawn part."""
        return self.loss(self.model, self.batches(step))

    def reload(self) -> None:
        """Reads the sampling weights again."""
        self.batches.latents.reload_weights()
