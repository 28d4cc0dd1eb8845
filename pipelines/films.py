"""Films as MP4 files: frames in, H.264 out, and a film to start from as frames again. No torch."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter
from numpy.typing import NDArray

from pipelines.contract import Cancelled, InvalidRequest, PipelineError
from pipelines.film_reading import Frame, UnreadableFilm, read_frames

logger = logging.getLogger(__name__)

CRF = 18
"""x264's constant rate factor: at 18 the loss is hardly seen, https://trac.ffmpeg.org/wiki/Encode/H.264#crf."""
PRESET = "medium"
MAX_PASSES = 4
"""Encodings of one film: by quality, and then by size until it fits."""
SIZE_MARGIN = 0.94
"""How much of the allowed bytes a pass by size aims at: x264 misses its bitrate by a few percent on short films."""
MIN_BITRATE_KBPS = 1
SEEKING_INTERVAL_S = 2.0
"""Longest distance between frames at which a player can start."""
MAX_THREADS = 8
WAIT_POLL_S = 0.05
EXIT_GRACE_S = 5.0
_COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int,"
    "format=yuv420p,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)
"""BT.709, which browsers assume: without tags and conversion they show the colours of BT.601 slightly wrong."""
_NO_FILM = "The reference film cannot be read. Choose an MP4 film of this studio."


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished file. `passes` counts the encodings it took; `bitrate_kbps` is what the last one aimed at, None where
    it went by quality."""

    path: Path
    width: int
    height: int
    frames: int
    fps: float
    bytes: int
    passes: int
    bitrate_kbps: int | None


def write_film(
    frames: Sequence[Frame] | Frame,
    path: Path,
    fps: float,
    *,
    max_bytes: int,
    report: Callable[[float], None],
    is_cancelled: Callable[[], bool],
) -> Film:
    """Encode `frames` ([n, height, width, 3], sides even) as H.264 in an MP4 that plays while it loads.

    The first encoding goes by quality; one over `max_bytes` is followed by passes at a bitrate that fits, which use
    what x264 noted in the first. `report` gets the share that is done, never falling. `fps` counts to two decimals.
    Raises Cancelled within a frame, InvalidRequest where the film fits at no bitrate, PipelineError where the encoder
    dies, OSError for a full disk; `path` exists only afterwards and only on success.
    """
    height, width = frames[0].shape[:2]
    duration_s = len(frames) / fps
    bitrate_kbps: int | None = None
    with tempfile.TemporaryDirectory(prefix="encoding-", dir=path.parent) as folder:
        draft, done = Path(folder) / "film.mp4", 0.0
        for number in range(1, MAX_PASSES + 1):
            span = (1.0 - done) * 0.8
            share = _Share(report, done, span)
            _encode(frames, draft, fps=fps, bitrate_kbps=bitrate_kbps, report=share, is_cancelled=is_cancelled)
            done += span
            size = draft.stat().st_size
            if size <= max_bytes:
                draft.replace(path)
                report(1.0)
                return Film(
                    path=path,
                    width=width,
                    height=height,
                    frames=len(frames),
                    fps=fps,
                    bytes=size,
                    passes=number,
                    bitrate_kbps=bitrate_kbps,
                )
            logger.info("A film came to %d bytes in pass %d; %d are allowed.", size, number, max_bytes)
            bitrate_kbps = _smaller_bitrate(bitrate_kbps, size, max_bytes, duration_s)
    raise InvalidRequest(
        f"The film does not fit into {max_bytes / 1_000_000:.1f} MB at any bitrate. "
        "Ask for fewer frames or a smaller size."
    )


def read_film(path: Path, *, width: int, height: int, frames: int) -> NDArray[np.uint8]:
    """The film at `path` as [frames, height, width, 3]: cropped around its centre to the shape asked for, its frames
    spread evenly from its first to its last. Raises InvalidRequest for what is no film."""
    try:
        with closing(read_frames(path, 16, 16)) as counting:
            count = sum(1 for _ in counting)
        found = np.empty((frames, height, width, 3), np.uint8)
        wanted = np.linspace(0, count - 1, frames).round().astype(int)
        with closing(read_frames(path, width, height)) as reading:
            for number, frame in enumerate(reading):
                found[wanted == number] = frame
    except UnreadableFilm as error:
        logger.info("a reference film was refused: %s", error)
        raise InvalidRequest(_NO_FILM) from error
    return found


@dataclass(frozen=True)
class _Share:
    """Reports a part of the work as a share of the whole."""

    report: Callable[[float], None]
    start: float
    span: float

    def __call__(self, fraction: float) -> None:
        self.report(self.start + self.span * fraction)


def _smaller_bitrate(last_kbps: int | None, size: int, max_bytes: int, duration_s: float) -> int:
    """What to aim at next, in kbit/s: what fits, and less if aiming at that before was not enough."""
    fitting = max_bytes * 8 / 1000 / duration_s * SIZE_MARGIN
    corrected = fitting if last_kbps is None else last_kbps * max_bytes / size * SIZE_MARGIN
    return max(MIN_BITRATE_KBPS, int(corrected))


def _encode(
    frames: Sequence[Frame] | Frame,
    draft: Path,
    *,
    fps: float,
    bitrate_kbps: int | None,
    report: Callable[[float], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """One encoding of all `frames` to `draft`: by quality, taking notes, or at a bitrate with the help of the notes."""
    notes = ["-passlogfile", str(draft.with_suffix(""))]
    if bitrate_kbps is None:
        # Without its short cuts for a first pass, which cost quality: this one is meant to be the last.
        rate = ["-crf", str(CRF), "-pass", "1", "-fastfirstpass", "0", *notes]
    else:
        rate = ["-b:v", f"{bitrate_kbps}k", "-pass", "2", *notes]
    seekable = ["-g", str(max(1, round(fps * SEEKING_INTERVAL_S)))]
    height, width = frames[0].shape[:2]
    writer = FFMPEG_VideoWriter(
        str(draft),
        (width, height),
        fps,
        codec="libx264",
        preset=PRESET,
        threads=min(os.cpu_count() or 1, MAX_THREADS),
        ffmpeg_params=[*rate, *seekable, "-vf", _COLOURS, "-movflags", "+faststart"],
    )
    try:
        for number, frame in enumerate(frames):
            if is_cancelled():
                raise Cancelled("The film was cancelled while it was encoded.")
            writer.proc.stdin.write(np.ascontiguousarray(frame).data)
            report((number + 1) / len(frames))
        _finish(writer.proc, is_cancelled)
    except BrokenPipeError as error:
        raise _death(writer.proc) from error
    finally:
        _end(writer.proc)


def _finish(process: Any, is_cancelled: Callable[[], bool]) -> None:
    """Let the encoder write what it still holds. Raises Cancelled, or an error where it did not end well."""
    process.stdin.close()
    while process.poll() is None:
        if is_cancelled():
            raise Cancelled("The film was cancelled while it was encoded.")
        with suppress(subprocess.TimeoutExpired):
            process.wait(WAIT_POLL_S)
    if process.returncode:
        raise _death(process)


def _death(process: Any) -> Exception:
    """Why ffmpeg ended before its time, for a person; what it said goes to the log."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(EXIT_GRACE_S)
    said = process.stderr.read().decode(errors="replace").strip() if process.poll() is not None else ""
    logger.error("ffmpeg ended with code %s: %s", process.poll(), said[-2000:])
    if os.strerror(errno.ENOSPC) in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return PipelineError("The film could not be encoded: the encoder stopped before its end. Try it again.")


def _end(process: Any) -> None:
    """End the encoder, whatever it does, and close its pipes."""
    process.kill()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stderr.close()
    process.wait()
