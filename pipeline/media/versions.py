"""Versions of the tools that make the bytes: for the head of the manifest, and a shorter list for each KEY.json."""

import platform
import re
from functools import cache
from importlib import metadata

import av

_TOOLS_OF_A_SAMPLE = ("av", "hdvila", "scenedetect-headless", "opencv-python-headless", "webrtcvad-wheels")
_TOOLS = (*_TOOLS_OF_A_SAMPLE, "pyarrow", "ray", "yt-dlp", "numpy")
_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)


def version_of(tool: str) -> str:
    """The installed version of a distribution, "" if it is not installed."""
    try:
        installed = metadata.distribution(tool)
    except metadata.PackageNotFoundError:
        return ""
    head = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    line = _VERSION.search(head)  # `version` parses the whole file as an e-mail, which takes 2 ms
    return line[1] if line else installed.version


@cache
def sample_versions() -> dict[str, str]:
    """{tool: version} for KEY.json: the tools that a clip's bytes depend on; "" for a tool that is not installed."""
    return {"libavcodec": _of_ffmpeg()["libavcodec"]} | {tool: version_of(tool) for tool in _TOOLS_OF_A_SAMPLE}


def tool_versions() -> dict[str, str]:
    """{tool: version} for the manifest: this program, its libraries, PyAV's FFmpeg, Python, the CPU architecture."""
    versions = {tool: version for tool in _TOOLS if (version := version_of(tool))}
    versions |= {"python": platform.python_version(), "machine": platform.machine()} | _of_ffmpeg()
    return dict(sorted(versions.items()))


def _of_ffmpeg() -> dict[str, str]:
    return {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
