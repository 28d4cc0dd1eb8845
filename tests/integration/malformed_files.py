"""Five hundred files and forms that no upload should be troubled by, each with the codes that may answer it."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

BOUNDARY = "----studio"
REFUSED = frozenset({400, 413, 415, 422})
TAKEN = frozenset({201})
EITHER = REFUSED | TAKEN
"""For what may still be a fine picture: a flipped bit in a pixel, a shortened tail that no decoder needs."""
KINDS = ("PNG", "JPEG", "WEBP")
SCRIPT = b"<script>alert(1)</script>"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A request body for `POST /api/uploads`, what is wrong with it, and the statuses that are right."""

    name: str
    body: bytes
    statuses: frozenset[int] = REFUSED
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A file with what a client says of it."""

    name: str
    data: bytes
    statuses: frozenset[int] = REFUSED
    filename: str = "cat.png"
    media_type: str = field(default="image/png")


def uploads() -> list[Upload]:
    """All of them, always the same."""
    files = [_form(one) for one in _files()]
    return [*files, *_forms()]


def picture(kind: str = "PNG", size: tuple[int, int] = (48, 32), mode: str = "RGB", **options: object) -> bytes:
    """A picture that is not flat, so that damage shows."""
    gradient = Image.linear_gradient("L").resize(size)
    kept = io.BytesIO()
    Image.merge("RGB", (gradient, gradient.rotate(90), gradient)).convert(mode).save(kept, kind, **options)
    return kept.getvalue()


def png(width: int, height: int, *, data: bytes = b"", depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG whose header says what it likes; `data` is its packed pixels, `extra` chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    """A chunk of a PNG, with a wrong checksum if one is given."""
    right = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", right if checksum is None else checksum)


def _files() -> Iterator[_Named]:
    yield from _cut_short()
    yield from _damaged()
    yield from _of_other_types()
    yield from _polyglots()
    yield from _bombs()
    yield from _odd_but_fine()
    yield from _odd_names()


def _cut_short() -> Iterator[_Named]:
    for kind in KINDS:
        whole = picture(kind)
        for step in range(40):
            kept = len(whole) * step // 40
            yield _Named(name=f"{kind} cut at {step}/40", data=whole[:kept], statuses=EITHER if step > 33 else REFUSED)


def _damaged() -> Iterator[_Named]:
    chance = random.Random(7)
    for kind in KINDS:
        whole = picture(kind)
        for number in range(40):
            spoiled = bytearray(whole)
            for _ in range(1 + number):
                spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
            yield _Named(name=f"{kind} damaged {number}", data=bytes(spoiled), statuses=EITHER)
        for number in range(10):
            noise = chance.randbytes(400)
            yield _Named(name=f"{kind} begins, noise follows {number}", data=whole[:12] + noise)
    pixels = zlib.compress(bytes(32 * (3 * 48 + 1)))
    for number, extra in enumerate(
        (chunk(b"IHDR", b"", checksum=0), chunk(b"gAMA", b"\0" * 4, checksum=1), chunk(b"PLTE", b"\0" * 7))
    ):
        yield _Named(
            name=f"PNG with a broken chunk {number}", data=png(48, 32, data=pixels, extra=extra), statuses=EITHER
        )
    yield _Named(
        name="PNG with a wrong checksum", data=png(48, 32, data=pixels).replace(b"IDAT", b"IDAT", 1)[:-20] + b"\0" * 20
    )
    for depth, colour in ((3, 2), (8, 1), (8, 5), (16, 3), (255, 255), (0, 0)):
        yield _Named(
            name=f"PNG of depth {depth} and colour {colour}", data=png(48, 32, data=pixels, depth=depth, colour=colour)
        )
    for length in (0xFFFFFFFF, 0x7FFFFFFF, 2**24):
        spoiled = picture().replace(picture()[8:12], struct.pack(">I", length), 1)
        yield _Named(name=f"PNG whose first chunk is {length} bytes long", data=spoiled)


def _of_other_types() -> Iterator[_Named]:
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "DDS", "SGI", "JPEG2000"):
        try:
            data = picture(kind)
        except (OSError, KeyError):  # this Pillow was built without it
            continue
        for media_type in ("image/png", "image/gif", "application/octet-stream", ""):
            yield _Named(name=f"{kind} as {media_type or 'nothing'}", data=data, media_type=media_type)
    texts = {
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'>" + SCRIPT + b"</svg>",
        "XML bomb": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><svg>&c;</svg>",
        "HTML": b"<!doctype html>" + SCRIPT,
        "PHP": b"<?php system($_GET['c']); ?>",
        "shell": b"#!/bin/sh\nrm -rf /\n",
        "PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "ELF": b"\x7fELF" + bytes(60),
        "EXE": b"MZ" + bytes(60),
        "MP4": b"\0\0\0\x18ftypmp42" + bytes(40),
        "pickle": b"\x80\x05\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "safetensors": struct.pack("<Q", 2) + b"{}",
        "NULs": bytes(1000),
        "UTF-16": "a picture".encode("utf-16"),
        "nothing": b"",
        "one byte": b"\x89",
    }
    for name, data in texts.items():
        yield _Named(name=name, data=data)
        yield _Named(name=f"{name} named .jpg", data=data, filename="cat.jpg", media_type="image/jpeg")


def _polyglots() -> Iterator[_Named]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as kept:
        kept.writestr("../../evil.sh", "rm -rf /")
    tails = {"ZIP": archive.getvalue(), "HTML": SCRIPT, "SVG": b"<svg>" + SCRIPT + b"</svg>", "PHP": b"<?php ?>"}
    for kind in KINDS:
        whole = picture(kind)
        for name, tail in tails.items():
            # What follows a picture is no part of it, and is not kept.
            yield _Named(name=f"{kind} and {name}", data=whole + tail, statuses=EITHER)
            yield _Named(name=f"{name} and {kind}", data=tail + whole)
    yield _Named(name="GIF and ZIP", data=picture("GIF") + tails["ZIP"])
    yield _Named(name="GIFAR that says PNG", data=b"GIF89a" + picture()[6:])
    text = chunk(b"tEXt", b"Comment\0" + SCRIPT)
    yield _Named(name="PNG with a script in its comment", data=picture()[:33] + text + picture()[33:], statuses=TAKEN)


def _bombs() -> Iterator[_Named]:
    rows = zlib.compress(bytes(4_000_000), 1)
    for width, height in (
        (10_000, 6_000),
        (40_000, 40_000),
        (65_535, 65_535),
        (2**31 - 1, 1),
        (1, 2**31 - 1),
        (2**31 - 1, 2**31 - 1),
        (17_000, 17),
        (17, 17_000),
        (0, 0),
        (0, 64),
        (64, 0),
        (1, 1),
        (15, 15),
        (8_000, 5_001),
    ):
        for colour in (0, 2, 3, 6):
            yield _Named(
                name=f"PNG of {width} x {height}, colour {colour}", data=png(width, height, data=rows, colour=colour)
            )
    packed = zlib.compress(bytes(60_000_000), 1)
    for mode in ("zTXt", "iTXt", "iCCP"):
        head = {"zTXt": b"a\0\0", "iTXt": b"a\0\x01\0\0\0", "iCCP": b"a\0\0"}[mode]
        bomb = picture()[:33] + chunk(mode.encode(), head + packed) + picture()[33:]
        yield _Named(name=f"PNG with 60 MB in {mode}", data=bomb, statuses=EITHER)
    sof = picture("JPEG")
    at = sof.index(b"\xff\xc0") + 5
    for height, width in ((65_535, 65_535), (65_500, 700), (0, 0)):
        yield _Named(
            name=f"JPEG of {width} x {height}", data=sof[:at] + struct.pack(">HH", height, width) + sof[at + 4 :]
        )
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in range(0, 250, 10)]
    for kind in ("PNG", "WEBP", "GIF"):
        kept = io.BytesIO()
        frames[0].save(kept, kind, save_all=True, append_images=frames[1:])
        yield _Named(name=f"animated {kind}", data=kept.getvalue())


def _odd_but_fine() -> Iterator[_Named]:
    for kind, mode in (
        ("JPEG", "CMYK"),
        ("JPEG", "L"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGBA"),
    ):
        data = picture(kind, mode="L" if mode == "I;16" else mode)
        yield _Named(name=f"{kind} in {mode}", data=data, statuses=TAKEN)
    chance = random.Random(8)
    for number in range(20):
        exif = b"Exif\0\0" + (b"MM\0*" if number % 2 else b"II*\0") + chance.randbytes(10 + 10 * number)
        yield _Named(name=f"JPEG with EXIF of noise {number}", data=picture("JPEG", exif=exif), statuses=EITHER)
        yield _Named(
            name=f"PNG with a profile of noise {number}",
            data=picture(icc_profile=chance.randbytes(40 + number)),
            statuses=EITHER,
        )
    whole = Image.Exif()
    whole[0x0112] = 6
    whole[0x010E] = "../../etc/passwd\0" + "x" * 2000
    yield _Named(name="JPEG with odd but true EXIF", data=picture("JPEG", exif=whole.tobytes()), statuses=TAKEN)


def _odd_names() -> Iterator[_Named]:
    names = (
        "../../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/shadow",
        "C:\\boot.ini",
        "a" * 4000,
        "a" * 4000 + ".png",
        "cat.png%00.php",
        "cat.php",
        ".htaccess",
        "CON",
        "nul.png",
        "a/b/c/d.png",
        "~/.ssh/id_rsa",
        "$(reboot).png",
        "; rm -rf /.png",
        "<script>.png",
        "\u202egnp.exe",
        "🐈" * 500,
        " ",
        ".",
        "..",
        "-rf",
        "cat.png ",
        "%2e%2e%2f.png",
        "é\u0301.png",
    )
    for name in names:
        yield _Named(name=f"a fine picture named {name[-30:]!r}", data=picture(), filename=name, statuses=TAKEN)
        yield _Named(name=f"text named {name[-30:]!r}", data=b"text", filename=name)
    # A NUL ends what a C program takes for the name; here it is a character like others, in a name that is not used.
    yield _Named(name="a NUL in the name", data=picture(), filename="cat.png\0.php", statuses=EITHER)


def _form(file: _Named) -> Upload:
    disposition = f'Content-Disposition: form-data; name="file"; filename="{file.filename}"'.encode("utf-8", "replace")
    media_type = f"\r\nContent-Type: {file.media_type}".encode() if file.media_type else b""
    body = b"--%s\r\n%s%s\r\n\r\n%s\r\n--%s--\r\n" % (
        BOUNDARY.encode(), disposition, media_type, file.data, BOUNDARY.encode(),
    )  # fmt: skip
    return Upload(name=file.name, body=body, statuses=file.statuses)


def _forms() -> Iterator[Upload]:
    """Forms that are no forms."""
    fine = _form(_Named(name="", data=picture())).body
    mark = BOUNDARY.encode()
    bodies = {
        "no body": b"",
        "no parts": b"--" + mark + b"--\r\n",
        "only a boundary": b"--" + mark,
        "no end": fine[: -len(mark) - 8],
        "headers alone": fine[:60],
        "another boundary": fine.replace(mark, b"----other"),
        "no blank line": fine.replace(b"\r\n\r\n", b"\r\n", 1),
        "bare line feeds": fine.replace(b"\r\n", b"\n"),
        "no name": fine.replace(b'name="file"; ', b"", 1),
        "another name": fine.replace(b'name="file"', b'name="picture"', 1),
        "no file name": fine.replace(b'; filename="cat.png"', b"", 1),
        "no disposition": fine.replace(b"Content-Disposition", b"Content-Opinion", 1),
        "a header without an end": b"--" + mark + b"\r\nContent-Disposition: " + b"a" * 100_000,
        "ten thousand headers": b"--" + mark + b"\r\n" + b"a: b\r\n" * 10_000 + b"\r\nx\r\n--" + mark + b"--\r\n",
        "two thousand parts": _part(b'name="a"') * 2000,
        "two thousand files": _part(b'name="f"; filename="b"') * 2000,
        "JSON": b'{"file": "cat.png"}',
        "a mask that is no word": fine.replace(b"--" + mark + b"--", _part(b'name="mask"') + b"--" + mark + b"--"),
        "NULs": bytes(5000),
    }  # fmt: skip
    for name, body in bodies.items():
        yield Upload(name=f"form: {name}", body=body)
    for name, content_type in {
        "no boundary": "multipart/form-data",
        "an empty boundary": "multipart/form-data; boundary=",
        "a boundary of 4,000 characters": "multipart/form-data; boundary=" + "b" * 4000,
        "a boundary in quotes that do not end": 'multipart/form-data; boundary="x',
        "an odd charset": "multipart/form-data; charset=klingon; boundary=other",
        "multipart/mixed": f"multipart/mixed; boundary={BOUNDARY}",
        "text/plain": "text/plain",
        "a picture's own type": "image/png",
        "JSON's": "application/json",
    }.items():
        yield Upload(name=f"form with {name}", body=fine, content_type=content_type)


def _part(disposition: bytes) -> bytes:
    return b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nperhaps\r\n"
