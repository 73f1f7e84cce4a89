"""The ffmpeg program: where it is, and how it is run on an untrusted file.

Commands are built with ffmpeg-python and run as a child process: a crash or a hang costs only the file.
"""

import resource
import shutil
import subprocess
import time
from contextlib import suppress
from functools import cache
from typing import Any

from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.sample import MAX_PIXELS
from pipeline.media.probe import CONTAINERS, Starved, Unusable
from pipeline.media.work_limit import WALL_FACTOR, starved_detail

_LAST_LINES = 3
_LAST_CHARACTERS = 400


@cache
def find_ffmpeg() -> str:
    """Returns the path of an ffmpeg program: the PATH's, or the `ffmpeg` extra's. Raises UserError if there is none."""
    if on_path := shutil.which("ffmpeg"):
        return on_path
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(
            "ffmpeg: not found; install it, or the extra that ships it (pip install 'hdvila[ffmpeg]')"
        ) from None


def input_options() -> dict[str, Any]:
    """Input options for files from the net: local files in known containers, a limit on the frame size, no repairs."""
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": CONTAINERS,
        "max_pixels": MAX_PIXELS,
        "err_detect": "explode",
        "threads": 1,
    }


def run_ffmpeg(graph: Any, *, time_limit_s: float) -> None:
    """Runs an ffmpeg-python output node to its end.

    Raises Unusable: TIMEOUT past `time_limit_s` of processor time, BROKEN_MEDIA with ffmpeg's last lines where it fails
    or is killed; Starved where the machine gives it too little processor time.
    """
    import ffmpeg

    arguments = ("-nostdin", "-hide_banner", "-loglevel", "error", "-xerror")
    command = ffmpeg.compile(graph.global_args(*arguments), cmd=find_ffmpeg(), overwrite_output=True)
    code, stderr, used_s = _run_within(command, time_limit_s)
    if code and used_s >= time_limit_s:  # the kernel sent SIGXCPU, which ffmpeg takes as a request to end
        raise Unusable(Reason.TIMEOUT, f"ffmpeg took more than {time_limit_s:.0f} s of processor time")
    if code:
        lines = stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        said = " / ".join(lines)[-_LAST_CHARACTERS:] or "no output"
        raise Unusable(Reason.BROKEN_MEDIA, f"ffmpeg ended with {code}: {said}")


def _run_within(command: list[str], cpu_limit_s: float) -> tuple[int, bytes, float]:
    """Runs a program with a limit on its processor time: (exit code, stderr, seconds used). Raises Starved."""
    began, used_before_s = time.monotonic(), _children_cpu_s()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        seconds = max(1, round(cpu_limit_s))
        with suppress(ProcessLookupError):  # it may have ended already
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (seconds, seconds + 5))
        try:
            _, stderr = process.communicate(timeout=WALL_FACTOR * cpu_limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            used_s = _children_cpu_s() - used_before_s
            raise Starved(starved_detail("ffmpeg", time.monotonic() - began, used_s)) from None
    return process.returncode, stderr, _children_cpu_s() - used_before_s


def _children_cpu_s() -> float:
    """Processor time of the children that have ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
