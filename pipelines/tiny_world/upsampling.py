"""A replacement for diffusers' upsampling block while training.

PyTorch 2.13's inductor compiles the backward of nearest-neighbour ``interpolate`` in bfloat16 on a CPU to zeros
(measured here: the gradient before the first upsampling vanished, eager mode was right). Repeating by ``expand`` gives
the same numbers and a right gradient.
"""

from __future__ import annotations

from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn


class RepeatUpsample(nn.Module):
    """Doubles height and width, then convolves: the same weights, names and values as ``Upsample2D``."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, hidden_states: Tensor, output_size: object = None) -> Tensor:
        """Maps ``(n, c, h, w)`` to ``(n, c', 2h, 2w)``; ``output_size`` is unused."""
        n, c, h, w = hidden_states.shape
        repeated = hidden_states[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)
        result: Tensor = self.conv(repeated)
        return result


def replace_upsampling(module: nn.Module) -> None:
    """Swaps every ``Upsample2D`` below ``module`` for ``RepeatUpsample`` on the same convolution."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Upsample2D) and child.conv is not None:
                replacement = RepeatUpsample(child.conv)
                if isinstance(parent, nn.ModuleList):
                    parent[int(name)] = replacement
                else:
                    setattr(parent, name, replacement)
