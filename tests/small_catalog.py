"""The ten job types at small sizes: pictures of 64 pixels, films of nine frames."""

from __future__ import annotations

from studio.catalog import Catalog, Defaults, FrameRules, PixelRules, WanTraits, build_catalog, sdxl_types, wan_types

FAST = Defaults(steps=2, guidance=0.0, scheduler="euler")
HIGH = Defaults(steps=4, guidance=6.0, scheduler="dpmpp_2m_karras")
PIXELS = {
    "sdxl": PixelRules(width=64, height=64, multiple=8, smallest=32, largest=128, max_area=128 * 128),
    "wan": PixelRules(width=80, height=48, multiple=16, smallest=32, largest=128, max_area=128 * 72),
}
WAN = WanTraits(
    recipes={
        "fast": Defaults(steps=2, guidance=1.0, scheduler="unipc"),
        "high": Defaults(steps=4, guidance=5.0, scheduler="unipc"),
    },
    expected_s={("image", "fast"): 1.0, ("image", "high"): 2.0, ("video", "fast"): 4.0, ("video", "high"): 8.0},
    rewriting_s={"image": 0.5, "video": 1.0},
    schedulers=("unipc", "euler"),
    starts_from={"image": ("text", "image"), "video": ("text", "video")},
    frames=FrameRules(native=9, multiple=4, largest=33, fps=8.0),
)
SDXL_SCHEDULERS = ("euler", "dpmpp_2m_karras", "lcm")


def small_catalog(
    *,
    fast: Defaults = FAST,
    high: Defaults = HIGH,
    expected_s: tuple[float, float] = (1.0, 2.0),
    sdxl: PixelRules = PIXELS["sdxl"],
    wan: WanTraits = WAN,
) -> Catalog:
    """All ten types; SDXL's with the given recipes (fast, high), first estimates in seconds and sizes."""
    pictures = sdxl_types(fast=fast, high=high, expected_s=expected_s, schedulers=SDXL_SCHEDULERS)
    return build_catalog((*pictures, *wan_types(wan)), {**PIXELS, "sdxl": sdxl})
