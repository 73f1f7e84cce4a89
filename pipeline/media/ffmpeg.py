"""The ffmpeg program: where it is, and how it is run on an untrusted file.

Commands are built with ffmpeg-python and run as a child process: a crash or a hang costs the file and nothing else.
"""

import shutil
import subprocess
from functools import cache
from typing import Any

from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.config.media import MediaLimits
from pipeline.media.probe import CONTAINERS, Unusable

_LAST_LINES = 3
_LAST_CHARACTERS = 400


@cache
def find_ffmpeg() -> str:
    """The path of an ffmpeg program: the PATH's, or the `ffmpeg` extra's. UserError where there is none."""
    if on_path := shutil.which("ffmpeg"):
        return on_path
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(
            "ffmpeg: not found; install it, or the extra that ships it (pip install 'hdvila[ffmpeg]')"
        ) from None


def input_options(limits: MediaLimits) -> dict[str, Any]:
    """Options of an input from the net: local files of known containers, no larger picture than allowed, no mending."""
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": CONTAINERS,
        "max_pixels": limits.max_pixels,
        "err_detect": "explode",
        "threads": 1,
    }


def run_ffmpeg(graph: Any, *, time_limit_s: float) -> None:
    """Runs an ffmpeg-python output node to its end.

    Raises Unusable: TIMEOUT past the limit, BROKEN_MEDIA with ffmpeg's last lines where it fails or is killed.
    """
    import ffmpeg

    arguments = ("-nostdin", "-hide_banner", "-loglevel", "error", "-xerror")
    command = ffmpeg.compile(graph.global_args(*arguments), cmd=find_ffmpeg(), overwrite_output=True)
    try:
        done = subprocess.run(command, capture_output=True, timeout=time_limit_s, check=False)
    except subprocess.TimeoutExpired:
        raise Unusable(Reason.TIMEOUT, f"ffmpeg took more than {time_limit_s:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        said = " / ".join(lines)[-_LAST_CHARACTERS:] or "without a word"
        raise Unusable(Reason.BROKEN_MEDIA, f"ffmpeg ended with {done.returncode}: {said}")
