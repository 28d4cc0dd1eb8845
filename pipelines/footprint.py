"""What a run will occupy of its device, before it runs. Torch-free.

Activations were counted on the published models (`bench/activations.py`, results in `bench/activations.json`; a test
holds the two together), and grow with the channels of the model, the pixels and the frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.contract import Footprint, Plan
from pipelines.shapes import Shapes

RANK: Mapping[tuple[str, str], int] = {
    ("qwen", "model"): 0,
    ("wan", "text_encoder"): 1,
    ("wan", "image_encoder"): 1,
    ("sdxl", "text_encoders"): 2,
    ("sdxl", "few_step_unet"): 2,
    ("wan", "few_step_transformer"): 2,
    ("sdxl", "unet"): 3,
    ("wan", "transformer"): 3,
    ("sdxl", "vae"): 4,
    ("wan", "vae"): 4,
}
"""In what order parts give way, the lowest rank first: what is cheapest to do without, and to bring back."""
CONTEXT_BYTES: Mapping[tuple[str, str], int] = {
    ("cuda", "sdxl"): 500_000_000,
    ("cuda", "wan"): 500_000_000,
    ("cuda", "qwen"): 500_000_000,
    ("cpu", "sdxl"): 485_000_000,
    ("cpu", "wan"): 540_000_000,
    ("cpu", "qwen"): 400_000_000,
}
"""What a worker process occupies besides weights, also when it is idle, by kind of device and role. On a card: context
and kernels, 0.25 to 0.6 GB by the card's size in published logs, not measured here. On a CPU: measured, the libraries
and what the allocator keeps of a run; before the first run it is a fifth less."""

SDXL_LATENT_BYTES = 10_108
"""Activations of SDXL's UNet a latent and sample (two samples a picture under guidance), in half precision."""
SDXL_PIXEL_BYTES = 1_537
"""Activations of SDXL's VAE decoder a pixel of the picture or tile, in half precision."""
SDXL_TILE_PX = 512
"""Side of the tiles that SDXL's VAE works in."""
WAN_TOKEN_BYTES = 49_280
"""Activations of WAN's transformer a token (2 x 2 latents of one latent frame), in half precision."""
WAN_PIXEL_BYTES = 10_122
"""Activations of WAN's VAE decoder a pixel of the frame or tile, in half precision, for the four frames it makes at
once and those it keeps of the ones before."""
WAN_FIRST_FRAME_PIXEL_BYTES = 3_462
"""The same of a picture: a single frame."""
WAN_TILE_PX = 256
"""Side of the tiles that WAN's VAE works in (AutoencoderKLWan's own)."""
FRAMES_A_LATENT, PATCH, COLOURS = 4, 2, 3
TILED_FILM_COPIES = 4.8
"""How often a film decoded in tiles is held before it is whole: the tiles, which overlap, their rows, and the film."""
FRAME_PIXEL_BYTES = 36
"""A pixel of a finished frame: three float32 copies of three colours, while `pipelines.latents` makes bytes of it."""
TEXT_BYTES: Mapping[str, int] = {"sdxl": 8_300_000, "wan": 130_300_000}
"""Activations of the text encoders for one prompt: SDXL's two for 77 tokens, UMT5-XXL for 512."""
WRITING_BYTES = 205_100_000
"""Activations of Qwen2.5 7B and what it keeps of a conversation of 1,024 tokens, in half precision."""
MARGIN = 1.15
"""What a caching allocator loses to fragmentation, and the tensors of the pipelines around the models."""
WORKSPACE_BYTES: Mapping[str, int] = {"cuda": 150_000_000, "cpu": 30_000_000}
"""Workspaces of the libraries that convolve: cuDNN's usual ones; on a CPU as measured of the demo models."""
TEXT_WORKSPACE_BYTES: Mapping[str, int] = {"cuda": 32_000_000, "cpu": 10_000_000}
"""The same of matrix products, which are all that text needs: cuBLAS's on recent cards; on a CPU as measured."""
_OF_TEXT = frozenset({"encode", "write"})


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be made, as far as memory depends on it: `count` pictures at once or one `film` of `frames` frames, of
    `width` x `height` pixels. `guided` is classifier-free guidance; `few_step` says that distilled weights draw."""

    role: str
    width: int = 0
    height: int = 0
    frames: int = 1
    count: int = 1
    guided: bool = True
    film: bool = False
    few_step: bool = False


def footprint(shapes: Shapes, work: Work, plan: Plan) -> Footprint:
    """Return what `work` occupies on its device under `plan`, its process's own context left out."""
    computing = _computing(shapes, work)
    working = {
        phase: round(count * MARGIN) + _workspace_bytes(phase, shapes.device_kind)
        for phase, count in activations(shapes, work, plan).items()
    }
    leaving = {
        "resident": frozenset(),
        "encode_first": frozenset(computing.get("encode", ())),
        "offload": frozenset(name for names in computing.values() for name in names),
    }[plan.residency]
    # A part that leaves is there in its own phase alone: its bytes are among the working ones.
    peak_bytes = max(
        working[phase] + sum(shapes.parts[name] for name in names if name in leaving)
        for phase, names in computing.items()
    )
    stays = {name: shapes.parts[name] for names in computing.values() for name in names if name not in leaving}
    return Footprint(parts=stays, working_bytes=peak_bytes)


def _workspace_bytes(phase: str, device_kind: str) -> int:
    return (TEXT_WORKSPACE_BYTES if phase in _OF_TEXT else WORKSPACE_BYTES)[device_kind]


def activations(shapes: Shapes, work: Work, plan: Plan) -> Mapping[str, float]:
    """Return the bytes of activations in each phase of `work`, as they were counted: "encode" prompts, "denoise" and
    "decode", or "write" text."""
    if work.role == "qwen":
        return {"write": WRITING_BYTES * shapes.width * shapes.element_bytes / 2}
    of_role = _sdxl if work.role == "sdxl" else _wan
    return {
        "encode": TEXT_BYTES[work.role] * shapes.text_width * shapes.element_bytes / 2,
        **of_role(shapes, work, plan),
    }


def _computing(shapes: Shapes, work: Work) -> Mapping[str, tuple[str, ...]]:
    """Which parts compute in which phase."""
    few_step = "few_step_" if work.few_step else ""
    if work.role == "qwen":
        return {"write": ("model",)}
    if work.role == "sdxl":
        return {"encode": ("text_encoders",), "denoise": (f"{few_step}unet",), "decode": ("vae",)}
    encoders = tuple(name for name in ("text_encoder", "image_encoder") if name in shapes.parts)
    return {"encode": encoders, "denoise": (f"{few_step}transformer",), "decode": ("vae",)}


def _sdxl(shapes: Shapes, work: Work, plan: Plan) -> Mapping[str, float]:
    at_once = min(work.count, plan.sub_batch or work.count) * (2 if work.guided else 1)
    area = work.width * work.height
    latents = area / shapes.scale_px**2
    decoded = min(area, SDXL_TILE_PX**2) if plan.tiled else area
    decoding = SDXL_PIXEL_BYTES * decoded * shapes.vae_width * shapes.vae_element_bytes / 2
    return {
        "denoise": SDXL_LATENT_BYTES * latents * at_once * shapes.width * shapes.element_bytes / 2,
        "decode": max(decoding, FRAME_PIXEL_BYTES * area),
    }


def _wan(shapes: Shapes, work: Work, plan: Plan) -> Mapping[str, float]:
    area, latent_frames = work.width * work.height, (work.frames - 1) // FRAMES_A_LATENT + 1
    tokens = area / (PATCH * shapes.scale_px) ** 2 * latent_frames * work.count
    pixel_bytes = WAN_PIXEL_BYTES if work.frames > 1 else WAN_FIRST_FRAME_PIXEL_BYTES
    decoded = min(area, WAN_TILE_PX**2) if plan.tiled else area
    film = COLOURS * shapes.vae_element_bytes * area * work.frames
    # The frames made so far lie beside those being made, and tiles overlap: each is 256 pixels, the next 192 further.
    made = film * (4 / 3 if plan.tiled else 1)
    decoding = pixel_bytes * decoded * shapes.vae_width * shapes.vae_element_bytes / 2 + made
    joining = film * (TILED_FILM_COPIES if plan.tiled else 0)
    return {
        "denoise": WAN_TOKEN_BYTES * tokens * shapes.width * shapes.element_bytes / 2,
        "decode": max(decoding, joining, FRAME_PIXEL_BYTES * area * work.frames),
    }
