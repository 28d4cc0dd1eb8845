"""The UNet's training stage."""

from __future__ import annotations

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from pipelines.tiny_world.part_training import Export, Stage, train_in_parts
from pipelines.tiny_world.training import Log, Settings
from pipelines.tiny_world.unet_gradients import UnetParts, trainable_unet


def train_unet(settings: Settings, log: Log, export: Export) -> UNet2DConditionModel:
    """Trains, or continues to train, the UNet; ``export`` gets the averaged weights and the step now and then."""
    torch.manual_seed(3)
    stage = Stage(name="unet", minutes=settings.unet_minutes, settings=settings, log=log)
    return train_in_parts(trainable_unet(settings), UnetParts, stage, export)
