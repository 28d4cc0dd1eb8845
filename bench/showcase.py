"""`make showcase`: one job of each of the ten types with the demo models, into docs/ten_types.md."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.film_reading import read_frames
from tests.live import StudioServer

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = DOCS / "ten_types"
FRAMES_SHOWN = 5
LARGER = 2
"""The demo models' pixels are drawn this many times as large."""
GAP_PX = 4
SEED = 7
PROMPTS = {
    "sdxl_image_fast": "a red balloon over the sea at sunset",
    "sdxl_image_high": "a yellow house in the snow at night",
    "image_fast": "a white sailboat on the sea by day",
    "image_high": "a green balloon over the mountains at dawn",
    "video_fast": "a red boat sails left on the sea at sunset",
    "video_high": "a yellow balloon rises over a meadow by day",
    "image7b_fast_enhanced": "blue balloon, desert",
    "image7b_high_enhanced": "boat at night",
    "video7b_fast_enhanced": "clouds drift over a meadow",
    "video7b_high_enhanced": "the sun sets over the sea",
}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        studio = StudioServer(Path(folder) / "data")
        try:
            studio.start()
            for kind in PROMPTS:  # once before, so that the times are of loaded models
                studio.wait_completed(studio.submit("a boat", job_type=kind, count=1)["id"])
            rows = [row(studio, kind, prompt, Path(folder)) for kind, prompt in PROMPTS.items()]
        finally:
            studio.stop()
    page = [
        "# Ten types, one of each",
        "",
        "Made by the demo models on a CPU with `make showcase`; of films five frames. Times are of one run.",
        "",
        "| type | asked for | came out | seconds |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    (DOCS / "ten_types.md").write_text("\n".join(page) + "\n", encoding="utf-8")


def row(studio: StudioServer, kind: str, prompt: str, scratch: Path) -> str:
    """Order one job, write its picture and return its row of the page."""
    began = time.perf_counter()
    job = studio.wait_completed(studio.submit(prompt, job_type=kind, seed=SEED)["id"])
    seconds = time.perf_counter() - began
    files = [studio.client.get(f"/media/{asset}").raise_for_status().content for asset in job["assets"]]
    shown = strip(job, files, scratch)
    shown.save(PICTURES / f"{kind}.png", optimize=True)
    asked = f"{prompt}<br>✨ {job['enhanced_prompt']}" if job["enhanced_prompt"] else prompt
    print(f"{kind}: {seconds:.1f} s, {job['note'] or job['enhanced_prompt'] or ''}", flush=True)
    return f"| `{kind}` | {asked} | ![{prompt}](ten_types/{kind}.png) | {seconds:.1f} |"


def strip(job: dict[str, Any], files: list[bytes], scratch: Path) -> Image.Image:
    """The job's pictures, or frames from the beginning to the end of its film, side by side."""
    frames = job["config"]["frames"]
    if frames is None:
        return side_by_side([Image.open(io.BytesIO(file)).convert("RGB") for file in files])
    path = scratch / "film.mp4"
    path.write_bytes(files[0])
    stills = [Image.fromarray(frame) for frame in read_frames(path, job["config"]["width"], job["config"]["height"])]
    return side_by_side([stills[round(place * (frames - 1) / (FRAMES_SHOWN - 1))] for place in range(FRAMES_SHOWN)])


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Equal pictures in a row, enlarged."""
    width, height = (side * LARGER for side in pictures[0].size)
    row = Image.new("RGB", (len(pictures) * (width + GAP_PX) - GAP_PX, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture.resize((width, height), Image.Resampling.BICUBIC), (place * (width + GAP_PX), 0))
    return row


if __name__ == "__main__":
    main()
