"""A request to the site, and its answer as the connection sends it, including answers that go wrong in transit."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

Json = dict[str, Any]
"""A JSON object sent by the site or its client, whose contents are up to them."""


class Conduct(StrEnum):
    """How an answer is sent."""

    HONEST = "honest"
    RESET = "reset"
    STALL = "stall"
    DROP = "drop"
    DRIP = "drip"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request inside the tunnel. `identity` is the user name given to the proxy, "" for none."""

    identity: str
    host: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The bytes from `first` to `end` (exclusive) of a file."""

    path: Path
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. With `DROP` the connection closes after `sent_bytes` of the body announced in the head."""

    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    body: bytes = b""
    slice: FileSlice | None = None
    headers: dict[str, str] = field(default_factory=dict)
    conduct: Conduct = Conduct.HONEST
    sent_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """Length of the whole body."""
        return self.slice.end - self.slice.first if self.slice else len(self.body)


def json_answer(data: Any, status: int = 200) -> Answer:
    """Makes a JSON answer."""
    return Answer(status, "application/json; charset=utf-8", json.dumps(data, separators=(",", ":")).encode())


def error_answer(status: int) -> Answer:
    """Makes an error in the site's JSON form (yt-dlp reads the message of an error that isn't HTML)."""
    words = {403: "Forbidden", 404: "Not Found", 416: "Range Not Satisfiable", 429: "Too Many Requests"}
    message = words.get(status, "Service Unavailable")
    return json_answer({"error": {"code": status, "message": message}}, status)


def html_answer(text: str) -> Answer:
    """Makes an HTML page."""
    return Answer(body=text.encode())


CONSENT_PAGE = (
    "<!DOCTYPE html><html><head><title>Before you continue</title></head>"
    "<body><form action='https://consent.example/save'>Before you continue to the site</form></body></html>"
)
"""The page in place of JSON or captions."""
