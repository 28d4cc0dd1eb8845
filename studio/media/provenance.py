"""How a picture or a film came to be, written into its own file where other tools look for it.

Three texts: `parameters`, the lines that AUTOMATIC1111's web UI introduced and most tools read; `ourvidz`, the same
facts as JSON; and an XMP packet whose Iptc4xmpExt:DigitalSourceType says that it was made by a model
(https://cv.iptc.org/newscodes/digitalsourcetype/). None of them names the person. They are text chunks of a PNG; in an
MP4 the lines are its comment, under the prompt as its title.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.sax.saxutils import escape

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.media import mp4
from studio.media.png import BrokenPng, chunks, keyword_of, plain_text, with_texts

PARAMETERS = "parameters"
FACTS = "ourvidz"
XMP = "XML:com.adobe.xmp"
MAX_FACTS_BYTES = 256 * 1024
"""A longer JSON chunk is not read: prompts of the allowed length take at most a third of it."""
_MAX_CHUNKS = 64
_SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype"

Text = Annotated[str, Field(max_length=8000)]
Name = Annotated[str, Field(max_length=200)]

Mode = Literal["text_to_image", "image_to_image", "inpainting", "text_to_video", "image_to_video", "video_to_video"]


class Provenance(BaseModel):
    """The facts of one picture or film. Sizes in pixels; `frames` and `fps` (frames a second) are a film's; `mode` says
    what it was made from besides the prompt; `model_hash` identifies the checkpoint; `receipt` is what the pipeline
    reported (JSON values)."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    prompt: Text
    negative_prompt: Text = ""
    enhanced_prompt: Text | None = None
    job_type: Name
    job_id: Name
    index: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    frames: int | None = Field(None, ge=1)
    fps: float | None = Field(None, gt=0)
    steps: int = Field(ge=0)
    guidance: float
    seed: int = Field(ge=0)
    scheduler: Name
    mode: Mode = "text_to_image"
    strength: float | None = None
    model: Name
    model_hash: Name | None = None
    version: Name
    receipt: dict[str, Any] = Field(default_factory=dict)

    @property
    def source_type(self) -> str:
        """The IPTC digital source type: made by a model alone, or composed with something that was there before."""
        made_alone = self.mode in ("text_to_image", "text_to_video")
        return f"{_SCHEME}/{'trainedAlgorithmicMedia' if made_alone else 'compositeWithTrainedAlgorithmicMedia'}"


def stamp_png(source: Path, facts: Provenance) -> bytes:
    """The PNG at `source` with `facts` inside. The compressed pixels are copied byte for byte.

    Raises `studio.media.png.BrokenPng` where `source` is no whole PNG.
    """
    texts = {PARAMETERS: parameters(facts), FACTS: facts.model_dump_json(ensure_ascii=True), XMP: xmp_packet(facts)}
    return with_texts(source.read_bytes(), texts)


def read_png(source: Path | bytes) -> Provenance | None:
    """The facts inside a PNG that the studio made; None for any other, and for one whose facts make no sense.

    Safe for any bytes: reads a bounded number of chunks before the pixels, unpacks nothing that is compressed.
    """
    png = source.read_bytes() if isinstance(source, Path) else source
    try:
        for number, chunk in enumerate(chunks(png, verify=False)):
            if chunk.name == b"IDAT" or number >= _MAX_CHUNKS:
                return None
            if keyword_of(chunk) == FACTS and len(chunk.data) <= MAX_FACTS_BYTES:
                return Provenance.model_validate_json(plain_text(chunk) or "")
    except (BrokenPng, ValidationError):
        return None
    return None


def stamp_mp4(path: Path, facts: Provenance) -> None:
    """Put `facts` into the MP4 at `path`. Its frames are copied byte for byte, and it still plays while it loads.

    Raises `studio.media.mp4.BrokenMp4` where `path` is no film as the studio makes them.
    """
    texts = mp4.Texts(
        title=facts.prompt,
        comment=parameters(facts),
        encoder=_tool(facts),
        own={FACTS: facts.model_dump_json(ensure_ascii=True)},
        xmp=xmp_packet(facts),
    )
    mp4.write_texts(path, texts)


def read_mp4(source: Path | bytes) -> Provenance | None:
    """The facts inside an MP4 that the studio made; None for any other, and for one whose facts make no sense.

    Safe for any bytes, as `read_png` is: whatever a file says of its sizes, only a bounded part of it is read.
    """
    try:
        with mp4.opened(source) as file:
            text = mp4.own_text(file, FACTS)
        return None if text is None else Provenance.model_validate_json(text)
    except (mp4.BrokenMp4, ValidationError):
        return None


def parameters(facts: Provenance) -> str:
    """The facts in the lines of AUTOMATIC1111's web UI: prompt, negative prompt, and `name: value` pairs."""
    values: dict[str, object] = {
        "Steps": facts.steps,
        "Sampler": facts.scheduler,
        "CFG scale": f"{facts.guidance:g}",
        "Seed": facts.seed,
        "Size": f"{facts.width}x{facts.height}",
        "Frames": facts.frames,
        "FPS": None if facts.fps is None else f"{facts.fps:g}",
        "Model hash": facts.model_hash,
        "Model": facts.model,
        "Denoising strength": None if facts.strength is None else f"{facts.strength:g}",
        "Version": f"OurVidz {facts.version}",
    }
    pairs = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items() if value is not None)
    negative = f"\nNegative prompt: {facts.negative_prompt}" if facts.negative_prompt else ""
    return f"{facts.enhanced_prompt or facts.prompt}{negative}\n{pairs}".strip()


def xmp_packet(facts: Provenance) -> str:
    """The XMP packet (ISO 16684-1), read-only and without padding. Its byte order mark is no Latin-1 character, so
    `with_texts` writes it as iTXt, the one chunk in which XMP is looked for."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<xmp:CreatorTool>{escape(_tool(facts))}</xmp:CreatorTool>"
        f"<Iptc4xmpExt:DigitalSourceType>{facts.source_type}</Iptc4xmpExt:DigitalSourceType>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )


def _tool(facts: Provenance) -> str:
    return f"OurVidz Studio {facts.version}"


def _quoted(value: str) -> str:
    """Readers split the pairs at commas, colons and line ends, and take a JSON string where a value holds one."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value
