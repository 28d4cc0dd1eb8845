"""Muon: momentum whose matrix updates are orthogonalised, with Adam for vectors.

Algorithm and Newton-Schulz coefficients: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor

_NS_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_NS_STEPS: Final = 5


def orthogonalise(matrices: Tensor) -> Tensor:
    """Maps each matrix of a stack ``(n, rows, columns)`` to a near-orthogonal one of the same directions."""
    a, b, c = _NS_COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2).contiguous()
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(_NS_STEPS):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for weights of two and more dimensions, Adam for the rest and for embeddings.

    Groups carry ``lr`` and the flag ``adam``; weights of one shape are updated together.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], momentum: float = 0.95, adam_ratio: float = 1.0) -> None:
        super().__init__(groups, {"lr": 1e-3, "adam": False, "momentum": momentum, "adam_ratio": adam_ratio})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Applies one update; ``closure`` is unused."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["adam"]:
                self._adam(parameters, group["lr"] * group["adam_ratio"])
            else:
                self._muon(parameters, group["lr"], group["momentum"])
        return None

    def _muon(self, parameters: list[Tensor], lr: float, momentum: float) -> None:
        shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for p in parameters:
            shapes[(p.shape[0], p.numel() // p.shape[0])].append(p)
        for (rows, columns), group in shapes.items():
            updates = []
            for p in group:
                buffer = self.state[p].setdefault(
                    "momentum", torch.zeros_like(p, memory_format=torch.contiguous_format)
                )
                grad = p.grad if p.grad is not None else torch.zeros_like(p)
                buffer.lerp_(grad, 1.0 - momentum)
                updates.append(torch.lerp(grad, buffer, momentum).reshape(rows, columns))
            scale = max(1.0, rows / columns) ** 0.5 * 0.2 * max(rows, columns) ** 0.5
            for p, update in zip(group, orthogonalise(torch.stack(updates)), strict=True):
                p.add_(update.view(p.shape), alpha=-lr * scale)

    def _adam(self, parameters: list[Tensor], lr: float) -> None:
        for p in parameters:
            state = self.state[p]
            if not state:
                state.update(count=0, first=torch.zeros_like(p), second=torch.zeros_like(p))
            state["count"] += 1
            grad = p.grad if p.grad is not None else torch.zeros_like(p)
            state["first"].lerp_(grad, 0.1)
            state["second"].lerp_(grad * grad, 0.01)
            first = state["first"] / (1 - 0.9 ** state["count"])
            second = state["second"] / (1 - 0.99 ** state["count"])
            p.addcdiv_(first, second.sqrt_().add_(1e-8), value=-lr)


def muon_groups(module: torch.nn.Module, lr: float) -> list[dict[str, Any]]:
    """Splits a module's weights: matrices and convolutions for Muon; vectors and embeddings for Adam."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    trained = [p for p in module.parameters() if p.requires_grad]
    vectors = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
    chosen = {id(p) for p in vectors}
    matrices = [p for p in trained if id(p) not in chosen]
    return [{"params": matrices, "lr": lr, "adam": False}, {"params": vectors, "lr": lr, "adam": True}]
