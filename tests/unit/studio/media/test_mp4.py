from __future__ import annotations

import io
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from pipelines.film_reading import read_frames
from studio.media.mp4 import MAX_TEXT_BYTES, BrokenMp4, FilmFacts, Texts, facts_of, own_text, write_texts
from studio.media.provenance import read_mp4
from tests.small_films import box_names, film_at, moving_frames, noisy_frames, probed

TITLE = "Ein Boot — 船 🐈\nin der Nacht"


def texts(**changes: Any) -> Texts:
    fields: dict[str, Any] = {
        "title": TITLE,
        "comment": "a red boat\nNegative prompt: fog\nSteps: 4, Seed: 7",
        "encoder": "OurVidz Studio 0.1.0",
        "own": {"ourvidz": '{"seed": 7}'},
        "xmp": '<?xpacket begin="\ufeff"?><x/><?xpacket end="r"?>',
    }
    return Texts(**{**fields, **changes})


def box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + name + data


def own(path: Path) -> str | None:
    with path.open("rb") as file:
        return own_text(file, "ourvidz")


@pytest.fixture(scope="module")
def made_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_at(tmp_path_factory.mktemp("films") / "a.mp4", noisy_frames(9)).path


@pytest.fixture
def film_path(made_film: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made_film, tmp_path / "a.mp4"))


def test_the_tables_say_what_a_film_is(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", moving_frames(17, 96, 64), fps=16.0).path
    assert facts_of(path) == FilmFacts(codec="avc1", width=96, height=64, frames=17, fps=16.0, plays_while_loading=True)


def test_texts_are_where_ffprobe_looks_and_the_frames_are_untouched(film_path: Path) -> None:
    before = [frame.tobytes() for frame in read_frames(film_path, 80, 48)]
    write_texts(film_path, texts())

    found = probed(film_path)
    assert found["format"]["tags"]["ourvidz"] == '{"seed": 7}'
    assert found["format"]["tags"]["title"] == TITLE
    assert found["format"]["tags"]["comment"] == texts().comment
    assert found["format"]["tags"]["encoder"] == "OurVidz Studio 0.1.0"
    assert found["streams"][0]["nb_read_frames"] == "9"
    assert [frame.tobytes() for frame in read_frames(film_path, 80, 48)] == before
    assert own(film_path) == '{"seed": 7}'
    names = box_names(film_path)
    assert names.index(b"moov") < names.index(b"mdat") < names.index(b"uuid")
    assert film_path.read_bytes().endswith(texts().xmp.encode())
    assert [path.name for path in film_path.parent.iterdir()] == ["a.mp4"]


def test_writing_again_replaces_what_was_written(film_path: Path) -> None:
    write_texts(film_path, texts(title="x" * 5000, own={"ourvidz": "old", "other": "old"}))
    write_texts(film_path, texts())
    once = film_path.read_bytes()
    write_texts(film_path, texts())

    assert film_path.read_bytes() == once
    assert b"other" not in once
    assert box_names(film_path).count(b"uuid") == 1
    assert probed(film_path)["streams"][0]["nb_read_frames"] == "9"


def test_characters_that_no_reader_takes_are_left_out(film_path: Path) -> None:
    write_texts(film_path, texts(title="a\0b\ud800c"))
    assert probed(film_path)["format"]["tags"]["title"] == "ab?c"


def test_a_film_of_sixty_four_bit_places_is_moved_too(film_path: Path) -> None:
    data = film_path.read_bytes()
    at = data.index(b"stco")
    (count,) = struct.unpack_from(">I", data, at + 8)
    places = struct.unpack_from(f">{count}I", data, at + 12)
    grown = count * 4
    wide = box(b"co64", bytes(4), struct.pack(f">I{count}Q", count, *(place + grown for place in places)))
    changed = bytearray(data[: at - 4] + wide + data[at + 12 + 4 * count :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        size = changed.index(name) - 4
        struct.pack_into(">I", changed, size, struct.unpack_from(">I", changed, size)[0] + grown)
    film_path.write_bytes(changed)
    before = [frame.tobytes() for frame in read_frames(film_path, 80, 48)]

    write_texts(film_path, texts())

    assert [frame.tobytes() for frame in read_frames(film_path, 80, 48)] == before


def test_places_beyond_what_a_table_can_hold_are_refused(film_path: Path) -> None:
    data = bytearray(film_path.read_bytes())
    struct.pack_into(">I", data, data.index(b"stco") + 12, 2**32 - 1)
    film_path.write_bytes(data)
    with pytest.raises(BrokenMp4, match="makes no sense"):
        write_texts(film_path, texts())


def rearranged(path: Path, names: tuple[bytes, ...]) -> bytes:
    """The file with its boxes in another order or number."""
    data, at, parts = path.read_bytes(), 0, {}
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        parts[data[at + 4 : at + 8]] = data[at : at + size]
        at += size
    return b"".join(parts[name] for name in names)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((b"ftyp", b"mdat", b"moov"), "before its frames"),
        ((b"ftyp", b"moov", b"moov", b"mdat"), "2 moov"),
        ((b"ftyp", b"mdat"), "0 moov"),
        ((b"moov", b"mdat"), "begin"),
    ],
)
def test_other_orders_are_refused_and_the_file_stays(film_path: Path, names: tuple[bytes, ...], reason: str) -> None:
    data = rearranged(film_path, names)
    film_path.write_bytes(data)
    with pytest.raises(BrokenMp4, match=reason):
        write_texts(film_path, texts())
    assert film_path.read_bytes() == data
    assert [path.name for path in film_path.parent.iterdir()] == ["a.mp4"]


def hostile_files() -> dict[str, bytes]:
    start = box(b"ftyp", b"isom")
    entry = box(b"----", box(b"mean", bytes(4)), box(b"name", bytes(4), b"ourvidz"), box(b"data", bytes(8), b"{}"))

    def holding(*entries: bytes) -> bytes:
        return start + box(b"moov", box(b"udta", box(b"meta", bytes(4), box(b"ilst", *entries))))

    deep = b""
    for _ in range(20_000):
        deep = box(b"moov", deep)
    large = box(b"----", box(b"name", bytes(4), b"ourvidz"), box(b"data", bytes(8), b"[" * MAX_TEXT_BYTES))
    return {
        "empty": b"",
        "one byte": b"\0",
        "text": b"this is no film at all",
        "a box of four gigabytes": start + b"\xff\xff\xff\xffmoov",
        "a box of 2^64 bytes": start + b"\0\0\0\1moov" + b"\xff" * 8,
        "a box of 16 bytes in 64 bits, cut off": start + b"\0\0\0\1moov\0\0",
        "a box without length": start + b"\0\0\0\0moov" + entry,
        "a box shorter than its head": start + b"\0\0\0\4moov",
        "a million boxes": start + box(b"free") * 1_000_000,
        "a million entries": holding(box(b"free") * 1_000_000),
        "deep": start + deep,
        "a text too large": holding(large),
        "many texts too large": holding(*[large] * 20),
        "an entry without a value": holding(box(b"----", box(b"name", bytes(4), b"ourvidz"))),
        "an entry of nothing": holding(box(b"----")),
        "an entry with a broken box": holding(box(b"----", b"\0\0\0\x50name")),
        "not JSON": holding(entry.replace(b"{}", b"{{")),
        "deep JSON": holding(box(b"----", box(b"name", bytes(4), b"ourvidz"), box(b"data", bytes(8), b"[" * 100_000))),
    }


@pytest.mark.parametrize("name", hostile_files())
def test_reading_from_anybodys_file_is_bounded(name: str, tmp_path: Path) -> None:
    data = hostile_files()[name]
    assert read_mp4(data) is None
    path = tmp_path / "hostile.mp4"
    path.write_bytes(data)
    assert read_mp4(path) is None
    with pytest.raises(BrokenMp4):
        facts_of(path)


class CountingFile(io.BytesIO):
    """Counts the bytes that are read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_of_a_large_file_little_is_read(film_path: Path) -> None:
    write_texts(film_path, texts())
    file = CountingFile(film_path.read_bytes() + box(b"free", bytes(30_000_000)))
    assert own_text(file, "ourvidz") == '{"seed": 7}'
    assert file.taken < 10_000


def test_any_damage_is_met_with_an_answer(film_path: Path, tmp_path: Path) -> None:
    write_texts(film_path, texts())
    data = film_path.read_bytes()
    tables, chance = data.index(b"mdat"), random.Random(3)
    path = tmp_path / "damaged.mp4"
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(tables)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        path.write_bytes(damaged[: chance.choice((len(damaged), chance.randrange(len(damaged))))])
        read_mp4(path)
        for use in (facts_of, lambda film: write_texts(film, texts())):
            try:
                use(path)
            except BrokenMp4:
                continue
