"""The parts of a loaded pipeline: which of them are on the device, and how they leave it and come back.

Weights do not change, so giving way never copies anything back. A part that gives way leaves empty tensors of its
precision and device behind (as ZeRO-3 does, arXiv:1910.02054), so that every module stays what and where it is, and
whatever computes with an absent part fails at once instead of computing something else.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from pipelines.contract import ModelMissing, Residency
from pipelines.memory import free_memory, spare_host_bytes

logger = logging.getLogger(__name__)

Keep = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Modules that come and go together. `read` returns equals of them in the same order, read anew from their files;
    their precision, place and memory layout need not be the same."""

    modules: tuple[torch.nn.Module, ...]
    read: Callable[[], Sequence[torch.nn.Module]]


class Parts:
    """The parts of one pipeline by name, on `device`; or `waiting` on the host, to move when they are first needed.

    A part that gives way to others on a card stays in the computer's own memory as far as that has room, in pinned
    tensors that are made once: coming back is one copy. Otherwise, and on a CPU, whose memory is the computer's own, it
    is read again from its files. `keep` makes that copy, None makes none. Buffers always stay: they are small, and
    some are in no file.
    """

    def __init__(
        self, device: torch.device, parts: Mapping[str, Part], *, waiting: bool = False, keep: Keep | None = None
    ) -> None:
        self._device = device
        self._keep = keep
        if keep is None and device.type == "cuda":
            self._keep = pinned
        self._parts = {name: _Weights(part) for name, part in parts.items()}
        if waiting:
            for weights in self._parts.values():
                weights.wait_for(device)
        self._residency: Residency = "resident"

    def bytes_there(self) -> dict[str, int]:
        """Return the bytes of each part that is on the device."""
        return {name: weights.bytes for name, weights in self._parts.items() if weights.there}

    @contextlib.contextmanager
    def following(self, residency: Residency) -> Iterator[None]:
        """Live by a plan's `residency` while this lasts; under "offload" nothing is on the device after it."""
        self._residency = residency
        try:
            yield
        finally:
            self._residency = "resident"
            if residency == "offload":
                self.give_way(self._parts)

    def bring(self, *names: str) -> None:
        """Have these parts on the device; under "offload" no others. Names that are no parts are left alone.

        Raises ModelMissing where a part's files are gone, and what running out of memory raises.
        """
        if self._residency == "offload":
            self.give_way([name for name in self._parts if name not in names])
        for name in names:
            if name in self._parts and not self._parts[name].there:
                self._bring(name)

    def passed(self, *names: str) -> None:
        """This run is done with these parts: unless all is resident, they give way."""
        if self._residency != "resident":
            self.give_way(names)

    def give_way(self, names: Iterable[str]) -> None:
        """Take these parts off the device. Names that are no parts are left alone."""
        gone = [name for name in names if name in self._parts and self._parts[name].there]
        for name in gone:
            weights = self._parts[name]
            if self._keep is not None and weights.copies is None:
                weights.copies = _copies(name, weights, self._keep)
            weights.drop(self._device)
        if gone:
            free_memory()
            logger.info("%s gave way", " and ".join(gone))

    def _bring(self, name: str) -> None:
        weights, began = self._parts[name], time.perf_counter()
        # Tensors made in inference mode could never leave it.
        with torch.inference_mode(False):
            try:
                source = "memory" if weights.copies is not None else "its files"
                weights.fill(weights.copies if weights.copies is not None else weights.read(name), self._device)
            except BaseException:
                weights.drop(self._device)
                raise
        if not weights.copies_are_kept:
            weights.copies = None
        logger.info("%s came back from %s in %.1f s", name, source, time.perf_counter() - began)


class _Weights:
    """The tensors of one part: all of them `there`, or none. `copies` are on the host, for coming back."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._tensors = _weights_of(part.modules)
        self._layouts = [(each.dtype, each.shape, each.stride()) for each in self._tensors]
        self.bytes = sum(each.numel() * each.element_size() for each in self._tensors)
        self.there = True
        self.copies: list[torch.Tensor] | None = None
        self.copies_are_kept = True

    @property
    def tensors(self) -> list[torch.nn.Parameter]:
        return self._tensors

    def wait_for(self, device: torch.device) -> None:
        """Leave the weights on the host, until they are moved to `device`; what stays there goes at once."""
        self.copies = [each.data for each in self._tensors]
        self.copies_are_kept = False
        self.drop(device)
        for buffer in (each for module in self._part.modules for each in module.buffers()):
            buffer.data = buffer.data.to(device)

    def drop(self, device: torch.device) -> None:
        """Let go of what is on the device."""
        self.there = False
        with torch.inference_mode(False):
            for tensor, (dtype, _, _) in zip(self._tensors, self._layouts, strict=True):
                tensor.data = torch.empty(0, dtype=dtype, device=device)

    def fill(self, sources: Sequence[torch.Tensor], device: torch.device) -> None:
        """Put `sources` on the device, in the precision and the memory layout that the weights had."""
        for tensor, source, (dtype, shape, stride) in zip(self._tensors, sources, self._layouts, strict=True):
            moved = source.to(device, dtype, non_blocking=True)
            if moved.stride() != stride:
                moved = torch.empty_strided(shape, stride, dtype=dtype, device=device).copy_(moved)
            tensor.data = moved
        self.there = True

    def read(self, name: str) -> list[torch.Tensor]:
        """Return the weights as their files hold them. Raises ModelMissing where they have become others."""
        fresh = [each.data for each in _weights_of(self._part.read())]
        if [each.shape for each in fresh] != [shape for _, shape, _ in self._layouts]:
            raise ModelMissing(f"The files of the model's {name.replace('_', ' ')} have changed. Restart the studio.")
        return fresh


def _weights_of(modules: Sequence[torch.nn.Module]) -> list[torch.nn.Parameter]:
    """Each parameter once: two modules may share one."""
    return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))


def _copies(name: str, weights: _Weights, keep: Keep) -> list[torch.Tensor] | None:
    spare = spare_host_bytes()
    if spare < weights.bytes:
        logger.info("no room for a copy of %s: %.1f GB spare, %.1f GB needed", name, spare / 1e9, weights.bytes / 1e9)
        return None
    weights.copies_are_kept = True
    try:
        with torch.inference_mode(False):
            return [keep(each.data) for each in weights.tensors]
    except RuntimeError as error:
        # Pinning is up to the system, which has limits of its own: the files are still there.
        logger.warning("no copy of %s could be made: %s", name, error)
        return None


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy in page-locked host memory, of the same layout: it moves to a card at the speed of the bus."""
    copy = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu", pin_memory=True)
    return copy.copy_(tensor)
