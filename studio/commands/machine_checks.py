"""What the doctor asks of the machine: Python and its packages, the device, memory, ffmpeg."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from studio.commands.findings import Finding, advice, ok, problem
from studio.commands.processes import ask_module, ask_program
from studio.commands.units import gigabytes
from studio.devices import memory_limit_bytes
from studio.settings import Settings, cuda_is_likely

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
OLDEST_PYTHON = (3, 11)
PATIENCE_S = 120.0
"""How long torch may take to be imported from a cold disk."""
OPTIONAL_PACKAGES = ("flash_attn", "sageattention", "xformers")
"""Attention kernels that are used where they are installed; without them torch's own are."""
COMPILERS = ("cc", "gcc", "clang")


def machine_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the machine, one finding after the other. Takes some seconds: torch is imported in another process."""
    yield _python()
    yield _packages()
    yield from _device(settings)
    yield _memory()
    yield _ffmpeg()


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return problem("Python", version, "Install Python 3.11 and run `make run`.")
    return ok("Python", f"{version} on {platform.system()} {platform.machine()}")


def _packages() -> Finding:
    pinned = dict(line.split("==") for line in REQUIREMENTS.read_text(encoding="utf-8").split() if "==" in line)
    missing, other = [], []
    for name, wanted in pinned.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found.partition("+")[0] != wanted:  # torch 2.13.0+cpu is torch 2.13.0
            other.append(f"{name} {found} instead of {wanted}")
    install = "Run `pip install -r requirements.txt`."
    if missing:
        return problem("Packages", f"missing: {', '.join(missing)}", install)
    if other:
        return advice("Packages", "; ".join(other), install)
    shown = ", ".join(f"{name} {pinned[name]}" for name in ("torch", "diffusers", "transformers", "gradio"))
    return ok("Packages", f"all {len(pinned)} as pinned: {shown}")


def _device(settings: Settings) -> Iterator[Finding]:
    driver = ask_program(
        "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader", timeout_s=30.0
    )
    if driver is not None and driver.exit_code == 0:
        for line in driver.output.strip().splitlines():
            name, memory, version = (each.strip() for each in line.split(","))
            yield ok("GPU", f"{name}, {memory}, driver {version}")
    elif cuda_is_likely():
        complaint = driver.last_complaint if driver else "nvidia-smi is not there"
        yield advice("GPU", f"A driver is there, but does not answer: {complaint}", "Restart the machine or container.")
    facts = _torch_facts()
    if isinstance(facts, Finding):
        yield facts
        return
    yield _torch(facts)
    yield from _cuda_helpers(settings, bool(facts["devices"]))


def _torch_facts() -> dict[str, Any] | Finding:
    answer = ask_module("pipelines.device_facts", timeout_s=PATIENCE_S)
    try:
        facts: dict[str, Any] = json.loads(answer.output)
    except json.JSONDecodeError:
        return problem("torch", f"does not work: {answer.last_complaint}", "Run `pip install -r requirements.txt`.")
    return facts


def _torch(facts: dict[str, Any]) -> Finding:
    version = facts["torch"]
    if facts["devices"]:
        devices = ", ".join(
            f"{device['name']} with {gigabytes(device['bytes'])} (compute capability {device['capability']})"
            for device in facts["devices"]
        )
        return ok("torch", f"{version} for CUDA {facts['cuda']} uses {devices}")
    if cuda_is_likely():
        if facts["cuda"] is None:
            return advice("torch", f"{version} is built without CUDA.", "Install the CUDA build of the same version.")
        built = f"{version} for CUDA {facts['cuda']} finds no device."
        return advice("torch", built, "Update the driver, and pass the GPU to the container (`--gpus all`).")
    able = ", ".join(facts["cpu"]) or "no vector extensions of note"
    return ok("torch", f"{version} runs on the CPU ({psutil.cpu_count()} cores: {able})")


def _cuda_helpers(settings: Settings, on_cuda: bool) -> Iterator[Finding]:
    """What makes models smaller or faster on CUDA alone."""
    bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
    if bitsandbytes:
        yield ok("bitsandbytes", importlib.metadata.version("bitsandbytes"))
    elif on_cuda:
        wanted = f", and STUDIO_QWEN_QUANTIZATION is {settings.qwen_quantization}" if settings.qwen_quantization else ""
        yield advice(
            "bitsandbytes", f"is missing: Qwen loads in full precision{wanted}.", "Run `pip install bitsandbytes`."
        )
    else:
        yield ok("bitsandbytes", "is not installed; only CUDA needs it.")
    if on_cuda:
        kernels = [name for name in OPTIONAL_PACKAGES if importlib.util.find_spec(name) is not None]
        yield ok("Attention", f"torch's own{''.join(f', {name}' for name in kernels)}")
        compiler = next((name for name in COMPILERS if shutil.which(name)), None)
        yield ok("Compiler", compiler or "none: models are not compiled")


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    return ok("Memory", f"{gigabytes(memory_limit_bytes())} for this machine or container, {gigabytes(available)} free")


def _ffmpeg() -> Finding:
    missing = "Run `pip install -r requirements.txt`, or install ffmpeg and set IMAGEIO_FFMPEG_EXE to it."
    try:
        import imageio_ffmpeg  # noqa: PLC0415

        answer = ask_program(imageio_ffmpeg.get_ffmpeg_exe(), "-version", timeout_s=30.0)
    except (ImportError, RuntimeError) as error:
        return advice("ffmpeg", f"is missing, so no films can be made: {error}", missing)
    if answer is None or answer.exit_code:
        return advice("ffmpeg", "does not run, so no films can be made.", missing)
    return ok("ffmpeg", " ".join(answer.output.split()[:3]))
