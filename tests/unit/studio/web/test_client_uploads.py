"""Uploads through Gradio's door: one folder a person, limits, and an end."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from studio.errors import QuotaExceeded, StorageFull, TooLarge
from studio.web.client_uploads import (
    KEPT_S,
    KEPT_SHOWN,
    SMALLEST_COUNTED_BYTES,
    ClientUploads,
    IncomingFile,
    UploadLimits,
    gradio_folder,
)

MEGABYTE = 2**20
LIMITS = UploadLimits(file_bytes=2 * MEGABYTE, person_bytes=3 * MEGABYTE, total_bytes=4 * MEGABYTE)


@pytest.fixture
def uploads(tmp_path: Path) -> ClientUploads:
    return ClientUploads(tmp_path / "gradio", LIMITS)


def incoming(content: bytes = b"content", name: str = "a.png") -> IncomingFile:
    return IncomingFile(name=name, size_bytes=len(content), content=io.BytesIO(content))


def test_the_same_content_of_two_people_lies_in_two_places(uploads: ClientUploads) -> None:
    (anns,), (bens,) = uploads.keep("ann", [incoming()]), uploads.keep("ben", [incoming()])
    assert anns.read_bytes() == bens.read_bytes() == b"content"
    assert anns.parent.parent != bens.parent.parent
    assert uploads.holds("ann", str(anns)) == anns
    assert uploads.holds("ben", str(anns)) is None
    assert "ann" not in anns.parts


def test_only_a_file_of_ones_own_is_held(uploads: ClientUploads, tmp_path: Path) -> None:
    (mine,) = uploads.keep("ann", [incoming()])
    (bens,) = uploads.keep("ben", [incoming()])
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    (mine.parent / "link").symlink_to(outside)
    folder = mine.parent
    for path in (
        folder,
        folder.parent,
        folder / "gone.png",
        folder / "link",
        outside,
        f"{folder}/../../{bens.relative_to(folder.parent.parent)}",
        "a\0b",
        "",
        "https://evil.example/cat.png",
    ):
        assert uploads.holds("ann", str(path)) is None, path
    assert uploads.holds("ann", f"{folder}/../{folder.name}/a.png") == mine


def test_what_gradio_made_is_for_whom_it_was_made(uploads: ClientUploads, tmp_path: Path) -> None:
    made, other = (tmp_path / "gradio" / (letter * 64) / "image.webp" for letter in "ab")
    outside = tmp_path / ("c" * 64) / "image.webp"
    for file in (made, other, outside):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"picture")
    for path in (made, outside, tmp_path / "gradio", "/etc/passwd"):
        uploads.show("ann", str(path))
    assert uploads.holds("ann", str(made)) == made
    assert uploads.holds("ben", str(made)) is None
    for path in (other, outside, tmp_path / "gradio", "/etc/passwd"):
        assert uploads.holds("ann", str(path)) is None
    for number in range(KEPT_SHOWN):
        uploads.show("ben", str(other.with_name(str(number))))
    assert uploads.holds("ann", str(made)) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\cats\\cat one.png", "cat_one.png"),
        (".bashrc", "bashrc"),
        ("", "file"),
        ("..", "file"),
        ("x" * 300 + ".png", "x" * 76 + ".png"),
        ("a\0\r\nb.png", "a_b.png"),
    ],
)
def test_names_are_made_harmless(uploads: ClientUploads, name: str, kept: str) -> None:
    (path,) = uploads.keep("ann", [incoming(name=name)])
    assert path.name == kept


def test_a_file_has_a_largest_size(uploads: ClientUploads) -> None:
    with pytest.raises(TooLarge, match="at most 2 MB"):
        uploads.keep("ann", [incoming(), incoming(bytes(2 * MEGABYTE + 1))])
    assert uploads.keep("ann", [incoming(bytes(2 * MEGABYTE))])


def test_one_persons_limit_is_nobody_elses(uploads: ClientUploads) -> None:
    uploads.keep("ann", [incoming(bytes(2 * MEGABYTE))])
    with pytest.raises(QuotaExceeded):
        uploads.keep("ann", [incoming(bytes(MEGABYTE + 1))])
    assert uploads.keep("ben", [incoming(bytes(MEGABYTE))])
    with pytest.raises(StorageFull):
        uploads.keep("ben", [incoming(bytes(MEGABYTE + 1))])
    uploads.forget("ann")
    assert uploads.keep("ben", [incoming(bytes(MEGABYTE + 1))])


def test_small_files_count_as_well(uploads: ClientUploads) -> None:
    most = LIMITS.person_bytes // SMALLEST_COUNTED_BYTES
    uploads.keep("ann", [incoming(b"")] * most)
    with pytest.raises(QuotaExceeded):
        uploads.keep("ann", [incoming(b"")])


def test_what_was_not_used_for_a_day_goes(uploads: ClientUploads) -> None:
    (old,) = uploads.keep("ann", [incoming()])
    uploads.tidy()
    assert old.exists()
    uploads.tidy(now=time.time() + KEPT_S + 60)
    assert not old.exists()


def test_everything_goes_in_the_end(uploads: ClientUploads) -> None:
    (path,) = uploads.keep("ann", [incoming()])
    uploads.clear()
    uploads.clear()
    assert not path.exists()


def test_nothing_is_made_before_the_first_upload(uploads: ClientUploads, tmp_path: Path) -> None:
    uploads.tidy()
    assert uploads.holds("ann", str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_one_that_gradio_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gradio.utils import get_upload_folder

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert str(gradio_folder()) == get_upload_folder() == str(tmp_path)
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    assert str(gradio_folder()) == get_upload_folder()
