"""The long description: README with its links and its picture made absolute, so that they work on a package index.

They lead below `Repository` of [project.urls], as GitHub and GitLab serve files; while pyproject.toml names none,
a link's words stay and the picture is left out.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
repository = project.get("urls", {}).get("Repository", "").rstrip("/")


def absolute(link: re.Match[str]) -> str:
    """A link of README as it stands on an index."""
    mark, words, target = link.groups()
    if "://" in target:
        return link[0]
    if not repository:
        return "" if mark else words
    return f"{mark}[{words}]({repository}/{'raw' if mark else 'blob'}/HEAD/{target})"


setup(
    long_description=re.sub(r"(!?)\[([^]]+)]\(([^)\s]+)\)", absolute, Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
