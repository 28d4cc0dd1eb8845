"""What torch says of this machine, as one line of JSON: `python -m pipelines.device_facts`.

A process of its own, for those that must not import torch themselves.
"""

from __future__ import annotations

import json

import torch

CPU_CAPABILITIES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
"""Those that change which precision a model runs in on a CPU, and how fast; see `pipelines.loading.choose_dtype`."""


def facts() -> dict[str, object]:
    """Return the version of torch, the CUDA it was built with (None: without), the devices it can use (name, bytes,
    compute capability) and what the CPU can do."""
    usable = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    found = torch.cpu.get_capabilities()
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "devices": [_device(index) for index in usable],
        "cpu": [name for name in CPU_CAPABILITIES if found.get(name)],
    }


def _device(index: int) -> dict[str, object]:
    device = torch.cuda.get_device_properties(index)
    return {"name": device.name, "bytes": device.total_memory, "capability": f"{device.major}.{device.minor}"}


if __name__ == "__main__":
    print(json.dumps(facts()))
