"""Where ffmpeg is: on the PATH, or the binary that the `ffmpeg` extra ships."""

import shutil
from functools import cache

from manifests.errors import UserError


@cache
def find_ffmpeg() -> str:
    """The path of an ffmpeg program. UserError where there is none."""
    if on_path := shutil.which("ffmpeg"):
        return on_path
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(
            "ffmpeg: not found; install it, or the extra that ships it (pip install 'hdvila[ffmpeg]')"
        ) from None
