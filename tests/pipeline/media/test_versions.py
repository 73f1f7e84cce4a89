"""Versions: those that a clip's bytes depend on are among those of the manifest."""

from importlib import metadata

import pytest

from pipeline.media.versions import sample_versions, tool_versions, version_of


def test_what_a_sample_names_the_manifest_names_too() -> None:
    manifest, sample = tool_versions(), sample_versions()
    assert {"libavcodec", "av", "hdvila"} <= sample.keys()
    assert all(manifest[tool] == version for tool, version in sample.items() if version)
    assert list(manifest) == sorted(manifest) and {"python", "machine", "pyarrow"} <= manifest.keys()


def test_a_tool_that_is_not_installed_has_no_version() -> None:
    assert version_of("no-such-distribution-here") == ""


@pytest.mark.parametrize("tool", ["av", "hdvila", "numpy", "pydantic", "ruff", "yt-dlp"])
def test_a_version_is_the_one_that_the_installer_knows(tool: str) -> None:
    assert version_of(tool) == metadata.version(tool)
