"""Which extra of the distribution brings a module that is not installed: the cure for a failed import."""

import re
from functools import cache
from importlib import metadata

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "decord": "decord2",
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "scenedetect": "scenedetect-headless",
}
"""By module: the distribution that brings it, where it has another name."""
_REQUIREMENT = re.compile(r"([\w.-]+).*; *extra *== *['\"]([\w-]+)['\"]")


def cure(error: ImportError, program: str = "hdvila-pipeline") -> str:
    """What installs the module that an import lacked: "pip install 'hdvila[s3]'"; "" if no extra brings it.

    Of several extras that bring it, the one that the program is named after.
    """
    module = _missing(error).partition(".")[0]
    extras = _extras().get(_DISTRIBUTIONS.get(module, module.replace("_", "-")), ())
    if not extras:
        return ""
    own = program.removeprefix("hdvila-")
    return f"pip install 'hdvila[{own if own in extras else extras[0]}]'"


def why(error: BaseException) -> str:
    """What an error says, or what to install if it is a failed import: "needs: pip install 'hdvila[s3]'"."""
    needed = cure(error) if isinstance(error, ImportError) else ""
    return f"needs: {needed}" if needed else str(error)


def _missing(error: BaseException | None) -> str:
    """The module that was not found; fsspec raises an ImportError of its own because of one."""
    if isinstance(error, ModuleNotFoundError):
        return error.name or ""
    return _missing(error.__cause__) if isinstance(error, ImportError) else ""


@cache
def _extras() -> dict[str, list[str]]:
    """By distribution: the extras that require it, as pyproject.toml lists them. Empty if this is not installed."""
    try:
        lines = metadata.requires("hdvila") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for match in filter(None, map(_REQUIREMENT.match, lines)):
        found.setdefault(match[1], []).append(match[2])
    return found
