"""The frames of an MP4 file, decoded one after another. Neither torch nor moviepy: the web process reads films as well.

The readers of moviepy and imageio-ffmpeg do not serve here. The one parses what ffmpeg prints, twice, and answers the
end of a film with a warning and its last frame again; the other moves ffmpeg to a process group of its own, where it
outlives a worker that is killed with its group. Neither keeps ffmpeg from opening what a playlist names.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""One picture of a film, [height, width, 3], RGB."""

_ONLY_AN_MP4 = ("-protocol_whitelist", "file,pipe", "-f", "mov")
"""ffmpeg must not take the file for a playlist that names other files or addresses."""


class UnreadableFilm(Exception):
    """The file holds no film that can be decoded to its end."""


def read_frames(path: Path, width: int, height: int) -> Generator[Frame]:
    """The frames of the film at `path` one after another, resized to cover `width` x `height` and cropped to it.

    Raises UnreadableFilm, also where the film breaks off. Close the iterator if it is not read to its end: ffmpeg is
    gone afterwards. It stays in the process group of this process, so that whoever kills the group leaves none behind.
    """
    shape = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=bicubic,crop={width}:{height}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-xerror", *_ONLY_AN_MP4, "-i", str(path)]
    command += ["-map", "0:v:0", "-vf", shape, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    frame_bytes, count = width * height * 3, 0
    # A file, since what ffmpeg says of a damaged film may be more than a pipe holds that nobody empties.
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        assert process.stdout is not None
        try:
            while len(data := process.stdout.read(frame_bytes)) == frame_bytes:
                count += 1
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            code = process.wait()
        finally:
            process.kill()
        if code or data or not count:
            said.seek(0)
            raise UnreadableFilm(said.read(500).decode(errors="replace").strip() or "It holds no frames.")
