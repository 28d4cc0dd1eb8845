from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from pipelines import films
from pipelines.contract import Cancelled, InvalidRequest, PipelineError
from pipelines.film_reading import UnreadableFilm, read_frames
from pipelines.films import read_film, write_film
from tests.small_films import PLENTY_BYTES, box_names, film_at, moving_frames, noisy_frames, probed

ROOT = Path(__file__).parents[3]


def ffmpegs(pid: int) -> list[psutil.Process]:
    """The ffmpegs that the process has working; others only tell their version and are gone again."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ffmpeg" in child.name() and "-i" in child.cmdline():
                found.append(child)
    return found


def encoders() -> list[psutil.Process]:
    return ffmpegs(os.getpid())


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, **changes: Any) -> films.Film:
    options: dict[str, Any] = {
        "frames": moving_frames(),
        "path": path,
        "fps": 8.0,
        "max_bytes": PLENTY_BYTES,
        "report": lambda fraction: None,
        "is_cancelled": lambda: False,
    }
    return write_film(**{**options, **changes})


@pytest.mark.parametrize(
    ("count", "fps", "rate"), [(17, 8.0, "8/1"), (81, 16.0, "16/1"), (5, 24.0, "24/1"), (1, 8.0, "8/1")]
)
def test_a_film_is_h264_that_browsers_play_while_it_loads(tmp_path: Path, count: int, fps: float, rate: str) -> None:
    film = write(tmp_path / "000.mp4", frames=moving_frames(count), fps=fps)

    assert (film.path, film.width, film.height, film.frames, film.fps) == (tmp_path / "000.mp4", 80, 48, count, fps)
    assert (film.bytes, film.passes, film.bitrate_kbps) == (film.path.stat().st_size, 1, None)
    (stream,) = probed(film.path)["streams"]
    assert (stream["codec_name"], stream["pix_fmt"], stream["width"], stream["height"]) == ("h264", "yuv420p", 80, 48)
    assert (stream["nb_read_frames"], stream["r_frame_rate"], stream["avg_frame_rate"]) == (str(count), rate, rate)
    assert {stream[name] for name in ("color_space", "color_primaries", "color_transfer")} == {"bt709"}
    assert stream["color_range"] == "tv"
    names = box_names(film.path)
    assert names.index(b"moov") < names.index(b"mdat")
    assert names_in(tmp_path) == ["000.mp4"]


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    frames = moving_frames()
    film = write(tmp_path / "a.mp4", frames=frames)

    again = read_film(film.path, width=80, height=48, frames=9)
    assert np.abs(again.astype(int) - frames).mean() < 6
    red = np.full((3, 48, 80, 3), (220, 30, 40), np.uint8)
    shown = read_film(write(tmp_path / "b.mp4", frames=red).path, width=80, height=48, frames=1)
    assert np.abs(shown.astype(int) - red[0]).max() <= 4


def test_a_list_of_frames_and_a_view_are_encoded_alike(tmp_path: Path) -> None:
    frames = moving_frames()
    flipped = write(tmp_path / "a.mp4", frames=frames[:, :, ::-1])
    listed = write(tmp_path / "b.mp4", frames=[frame.copy() for frame in frames[:, :, ::-1]])

    assert flipped.path.read_bytes() == listed.path.read_bytes()


def test_a_film_over_the_limit_is_encoded_again_until_it_fits(tmp_path: Path) -> None:
    frames, shares = noisy_frames(24, 160, 96), []
    full = write(tmp_path / "full.mp4", frames=frames)
    limit = full.bytes // 4
    film = write(tmp_path / "small.mp4", frames=frames, max_bytes=limit, report=shares.append)

    assert film.passes in (2, 3)
    assert limit // 2 < film.bytes <= limit
    assert film.bitrate_kbps is not None
    (stream,) = probed(film.path)["streams"]
    assert (stream["nb_read_frames"], stream["pix_fmt"]) == ("24", "yuv420p")
    names = box_names(film.path)
    assert names.index(b"moov") < names.index(b"mdat")
    assert shares == sorted(shares)
    assert (len(shares) > 48, shares[-1]) == (True, 1.0)
    assert names_in(tmp_path) == ["full.mp4", "small.mp4"]


def test_a_film_that_fits_at_no_bitrate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="fewer frames"):
        write(tmp_path / "a.mp4", frames=noisy_frames(), max_bytes=500)
    assert names_in(tmp_path) == []


def cancel_after(calls: int) -> Callable[[], bool]:
    counted = itertools.count()
    return lambda: next(counted) >= calls


@pytest.mark.parametrize("calls", [0, 4, 9])
def test_a_cancel_leaves_neither_file_nor_process(tmp_path: Path, calls: int) -> None:
    with pytest.raises(Cancelled):
        # Nine frames: the last of these cancels comes while the encoder writes what it still holds.
        write(tmp_path / "a.mp4", frames=moving_frames(9, 640, 480), is_cancelled=cancel_after(calls))
    assert names_in(tmp_path) == []
    assert encoders() == []


def test_an_error_of_the_caller_leaves_neither_file_nor_process(tmp_path: Path) -> None:
    def report(fraction: float) -> None:
        raise RuntimeError("the parent is gone")

    with pytest.raises(RuntimeError, match="parent"):
        write(tmp_path / "a.mp4", report=report)
    assert names_in(tmp_path) == []
    assert encoders() == []


def test_an_encoder_that_dies_is_told_in_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def kill(fraction: float) -> None:
        for encoder in encoders():
            encoder.send_signal(signal.SIGKILL)

    with pytest.raises(PipelineError, match="The film could not be encoded") as told:
        write(tmp_path / "a.mp4", frames=moving_frames(60, 320, 240), report=kill)
    assert told.value.code == "internal"
    assert "code -9" in caplog.text
    assert names_in(tmp_path) == []


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    full = tmp_path / "film.mp4"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as told:
        films._encode(
            noisy_frames(),
            full,
            fps=8.0,
            bitrate_kbps=None,
            report=lambda fraction: None,
            is_cancelled=lambda: False,
        )
    assert told.value.errno == errno.ENOSPC
    assert encoders() == []


ENDLESS = """
import sys, time
from pathlib import Path
from pipelines.film_reading import read_frames
from tests.small_films import film_at, moving_frames
folder = Path(sys.argv[1])
reading = read_frames(film_at(folder / "first.mp4", moving_frames(40, 640, 480)).path, 640, 480)
next(reading)
from pipelines.films import write_film
write_film(moving_frames(9), folder / "a.mp4", 8.0, max_bytes=10**8, is_cancelled=lambda: False,
           report=lambda fraction: time.sleep(600))
"""


def test_no_ffmpeg_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path], cwd=ROOT, process_group=0) as worker:
        try:
            while len(found := ffmpegs(worker.pid)) < 2:
                assert worker.poll() is None
                time.sleep(0.02)
            groups = {os.getpgid(process.pid) for process in found}
        finally:
            worker.kill()
    _, alive = psutil.wait_procs(found, timeout=60)
    assert alive == []
    assert groups == {worker.pid}  # so that one signal to the worker's group reaches them as well


def test_a_film_is_cropped_and_spread_over_the_frames_asked_for(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", numbered(20, 80, 40)).path

    frames = read_film(path, width=32, height=32, frames=5)
    assert (frames.shape, frames.dtype) == ((5, 32, 32, 3), np.uint8)
    assert [round(frame.mean() / 10) for frame in frames] == [0, 5, 10, 14, 19]
    assert np.abs(frames[2].astype(int) - 100).max() < 30
    longer = read_film(path, width=40, height=40, frames=39)
    assert [round(frame.mean() / 10) for frame in longer][::2] == list(range(20))
    assert [round(frame.mean() / 10) for frame in read_film(path, width=16, height=16, frames=1)] == [0]


def numbered(count: int, width: int, height: int) -> Any:
    """Frame n is grey 10 n between two red bars, which a crop to a square takes away."""
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[:] = (np.arange(count) * 10)[:, None, None, None]
    bar = (width - height) // 2
    frames[:, :, :bar] = frames[:, :, width - bar :] = (255, 0, 0)
    return frames


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("kind", ["nothing", "text", "half", "picture", "playlist", "missing"])
def test_what_is_no_film_is_refused(tmp_path: Path, kind: str) -> None:
    whole = film_at(tmp_path / "whole.mp4", noisy_frames()).path
    path = tmp_path / "a.mp4"
    if kind == "picture":
        Image.new("RGB", (32, 32)).save(path, "PNG")
    elif kind != "missing":
        content = {
            "nothing": b"",
            "text": b"not a film",
            "half": whole.read_bytes()[: whole.stat().st_size // 2],
            "playlist": PLAYLIST.format(path=whole).encode(),
        }
        path.write_bytes(content[kind])
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_film(path, width=80, height=48, frames=9)


def test_a_reading_that_is_given_up_ends_its_process(tmp_path: Path) -> None:
    reading = read_frames(film_at(tmp_path / "a.mp4", moving_frames(40, 640, 480)).path, 640, 480)
    assert next(reading).shape == (480, 640, 3)
    assert len(encoders()) == 1
    reading.close()
    assert encoders() == []


def test_damage_inside_a_film_is_noticed(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", noisy_frames(24)).path
    data = bytearray(path.read_bytes())
    frames = data.index(b"mdat") + 4
    data[frames + 20_000 : frames + 40_000] = bytes(20_000)
    path.write_bytes(data)
    with pytest.raises(UnreadableFilm):
        list(read_frames(path, 80, 48))
