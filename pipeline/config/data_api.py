"""Settings of YouTube's Data API v3, which is asked before the site itself where a key is given."""

import re
from pathlib import Path
from typing import ClassVar

from pydantic import PrivateAttr, SecretStr, model_validator

from manifests.settings import Section, operational

_KEY = re.compile(r"[A-Za-z0-9_-]{20,200}")
"""A key as Google makes them has 39 of these characters."""


def read_key(path: Path) -> str:
    """The key of a file: its only line. Raises ValueError, which names the file but not its content."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        raise ValueError(f"{path} cannot be read ({why}); give a file that this user may read") from None
    if not text:
        raise ValueError(f"{path} is empty; write the key of your project there, and nothing else")
    if not _KEY.fullmatch(text):
        raise ValueError(f"{path} holds no key; write the key of your project there (AIza…), and nothing else")
    return text


class DataApiConfig(Section):
    """YouTube's Data API v3 as the first look at candidates. The key is read when the settings are, in one place."""

    stage: ClassVar[str] = "extract"
    key_file: Path | None = operational(
        None,
        doc="file with a key of YouTube's Data API v3 and nothing else: candidates are then looked up 50 at a time "
        "before any is asked of the site; empty: the API is not asked",
    )
    _key: SecretStr = PrivateAttr(SecretStr(""))

    @model_validator(mode="after")
    def _key_is_there(self) -> "DataApiConfig":
        if self.key_file is not None:
            self._key = SecretStr(read_key(self.key_file))
        return self

    @property
    def key(self) -> str:
        """The key; "" if none is given. Never written anywhere: it goes into a header of requests, and nowhere else."""
        return self._key.get_secret_value()
