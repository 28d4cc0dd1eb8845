from __future__ import annotations

import io
import json
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.media.png import chunks, with_texts
from studio.media.provenance import FACTS, MAX_FACTS_BYTES, Provenance, read_mp4, read_png, stamp_mp4, stamp_png
from tests.small_films import box_names, film_at, probed

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# The pair pattern that AUTOMATIC1111's reader, and the many that follow it, apply to the last line.
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def facts(**changes: Any) -> Provenance:
    fields: dict[str, Any] = {
        "prompt": "a red boat, harbour\nat dawn",
        "negative_prompt": "fog, text",
        "job_type": "sdxl_image_high",
        "job_id": "job",
        "index": 2,
        "width": 48,
        "height": 32,
        "steps": 20,
        "guidance": 6.0,
        "seed": 4_294_967_295,
        "scheduler": "dpmpp_2m_karras",
        "model": "Tiny World: SDXL, small",
        "model_hash": "0123456789",
        "version": "0.1.0",
        "receipt": {"fingerprint": "0123456789abcdef", "versions": {"torch": "2"}},
    }
    return Provenance(**{**fields, **changes})


@pytest.fixture
def stamped(tmp_path: Path, noise_png: bytes) -> Any:
    def stamp(**changes: Any) -> bytes:
        source = tmp_path / "picture.png"
        source.write_bytes(noise_png)
        return stamp_png(source, facts(**changes))

    return stamp


def parsed(parameters: str) -> tuple[str, str, dict[str, str]]:
    *lines, last = parameters.strip().split("\n")
    prompt, _, negative = "\n".join(lines).partition("\nNegative prompt: ")
    values = {name: json.loads(value) if value.startswith('"') else value for name, value in PAIR.findall(last)}
    return prompt, negative, values


def info(png: bytes) -> dict[Any, Any]:
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        return dict(picture.info)


def test_other_tools_read_the_parameters(stamped: Any) -> None:
    prompt, negative, values = parsed(info(stamped())["parameters"])
    assert prompt == "a red boat, harbour\nat dawn"
    assert negative == "fog, text"
    assert values == {
        "Steps": "20",
        "Sampler": "dpmpp_2m_karras",
        "CFG scale": "6",
        "Seed": "4294967295",
        "Size": "48x32",
        "Model hash": "0123456789",
        "Model": "Tiny World: SDXL, small",
        "Version": "OurVidz 0.1.0",
    }


def test_parameters_without_a_negative_prompt_and_with_strength(stamped: Any) -> None:
    prompt, negative, values = parsed(
        info(stamped(negative_prompt="", prompt="猫 🐈", mode="image_to_image", strength=0.6))["parameters"]
    )
    assert (prompt, negative) == ("猫 🐈", "")
    assert values["Denoising strength"] == "0.6"


@pytest.mark.parametrize(
    ("mode", "source_type"),
    [
        ("text_to_image", "trainedAlgorithmicMedia"),
        ("image_to_image", "compositeWithTrainedAlgorithmicMedia"),
        ("inpainting", "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_xmp_says_that_a_model_made_it(stamped: Any, mode: str, source_type: str) -> None:
    png = stamped(mode=mode)
    xmp = next(chunk for chunk in chunks(png) if bytes(chunk.data).startswith(b"XML:com.adobe.xmp\0\0\0\0\0"))
    assert xmp.name == b"iTXt"
    root = ET.fromstring(info(png)["xmp"].decode().partition("?>")[2].rpartition("<?")[0])
    found = root.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert found is not None
    assert found.text == IPTC + source_type


def test_facts_are_read_back_and_pixels_are_untouched(stamped: Any, noise_png: bytes, tmp_path: Path) -> None:
    png = stamped(prompt="Ein Boot — 船\x00", enhanced_prompt="längere Fassung")
    again = read_png(png)
    assert again == facts(prompt="Ein Boot — 船\x00", enhanced_prompt="längere Fassung")
    (tmp_path / "again.png").write_bytes(png)
    assert read_png(tmp_path / "again.png") == again
    pixels = [[bytes(c.raw) for c in chunks(data) if c.name == b"IDAT"] for data in (png, noise_png)]
    assert pixels[0] == pixels[1]


def test_the_person_is_not_named(stamped: Any) -> None:
    assert "user" not in json.loads(info(stamped())[FACTS])


def ztxt_bomb(png: bytes) -> bytes:
    data = FACTS.encode() + b"\0\0" + zlib.compress(b"{" * 50_000_000, 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return png[:33] + chunk + png[33:]


def test_reading_from_anybodys_file_is_bounded(noise_png: bytes) -> None:
    huge = json.dumps({"prompt": "x" * MAX_FACTS_BYTES})
    assert read_png(noise_png) is None
    assert read_png(ztxt_bomb(noise_png)) is None
    assert read_png(with_texts(noise_png, {FACTS: huge})) is None
    assert read_png(with_texts(noise_png, {FACTS: "[" * 100_000})) is None
    assert read_png(with_texts(noise_png, {FACTS: '{"prompt": 1}'})) is None
    many = with_texts(with_texts(noise_png, {FACTS: facts().model_dump_json()}), {f"k{n}": "" for n in range(100)})
    assert read_png(many) is None


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt"])
def test_what_is_no_png_holds_no_facts(data: bytes) -> None:
    assert read_png(data) is None


def film_facts(**changes: Any) -> Provenance:
    film = {"job_type": "video_fast", "mode": "text_to_video", "frames": 9, "fps": 8.0, "width": 80, "height": 48}
    return facts(**{**film, "scheduler": "unipc", **changes})


@pytest.fixture
def film_path(tmp_path: Path) -> Path:
    return film_at(tmp_path / "film.mp4").path


@pytest.mark.parametrize(
    "prompt", ["a red boat", 'Ein Boot, 船 🐈\u200d⬛\nsegelt: nach "links"', "🚤" * 4000, "ж" * 4000, "=;#\\\n[x]"]
)
def test_a_film_says_how_it_was_made_to_ffprobe_and_to_the_studio(film_path: Path, prompt: str) -> None:
    made = film_facts(prompt=prompt, enhanced_prompt=f"{prompt}, im Abendlicht", negative_prompt="fog")
    stamp_mp4(film_path, made)

    assert read_mp4(film_path) == read_mp4(film_path.read_bytes()) == made
    tags = probed(film_path)["format"]["tags"]
    assert tags["title"] == prompt
    assert tags["comment"].startswith(f"{prompt}, im Abendlicht\nNegative prompt: fog\nSteps: 20, Sampler: unipc")
    assert "Size: 80x48, Frames: 9, FPS: 8" in tags["comment"]
    assert tags["encoder"] == "OurVidz Studio 0.1.0"
    assert json.loads(tags[FACTS])["seed"] == 4_294_967_295
    names = box_names(film_path)
    assert names.index(b"moov") < names.index(b"mdat")


@pytest.mark.parametrize(
    ("mode", "source_type"),
    [
        ("text_to_video", "trainedAlgorithmicMedia"),
        ("image_to_video", "compositeWithTrainedAlgorithmicMedia"),
        ("video_to_video", "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_the_xmp_of_a_film_says_that_a_model_made_it(film_path: Path, mode: str, source_type: str) -> None:
    stamp_mp4(film_path, film_facts(mode=mode))
    data = film_path.read_bytes()
    # The XMP specification, part 3, gives MP4 files a box under this UUID.
    packet = data[data.index(bytes.fromhex("be7acfcb97a942e89c71999491e3afac")) + 16 :].decode()
    root = ET.fromstring(packet.partition("?>")[2].rpartition("<?")[0])
    found = root.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert found is not None
    assert found.text == IPTC + source_type


def test_the_person_of_a_film_is_not_named(film_path: Path) -> None:
    stamp_mp4(film_path, film_facts())
    assert "user" not in json.loads(probed(film_path)["format"]["tags"][FACTS])


def test_a_film_of_somebody_else_holds_no_facts(film_path: Path) -> None:
    assert read_mp4(film_path) is None
