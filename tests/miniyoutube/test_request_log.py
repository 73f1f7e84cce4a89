"""What the request log answers, and the command that serves a mini-YouTube with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from miniyoutube.request_log import LoggedRequest, RequestLog


def a_request(at_s: float, kind: str, video_id: str = "", ended_s: float = 0.0, bytes_sent: int = 0) -> LoggedRequest:
    return LoggedRequest(at_s, "h", "GET", "/", {}, kind, video_id=video_id, ended_s=ended_s, bytes_sent=bytes_sent)


@pytest.fixture
def log() -> RequestLog:
    """Two watch pages, three players, two overlapping media bodies and one after."""
    log = RequestLog()
    for request in (
        a_request(0.0, "watch", "a"),
        a_request(0.1, "player", "a"),
        a_request(0.2, "watch", "b"),
        a_request(0.3, "player", "b"),
        a_request(2.0, "player", "b"),
        a_request(3.0, "media", "a", 5.0, 10),
        a_request(4.0, "media", "a", 6.0, 20),
        a_request(6.0, "media", "b", 7.0, 40),
    ):
        log.begin(request)
    return log


def test_requests_are_counted_by_video_and_kind(log: RequestLog) -> None:
    assert log.per_video() == {"a": {"watch": 1, "player": 1, "media": 2}, "b": {"watch": 1, "player": 2, "media": 1}}
    assert len(log.of("player")) == 3
    assert len(log.of("player", video_id="b")) == 2
    assert log.bytes_of("a") == 30


def test_the_log_measures_gaps_and_peak_rates(log: RequestLog) -> None:
    assert log.gaps_s("player") == pytest.approx([0.2, 1.7])
    assert log.peak_rate("watch", "player") == 4
    assert log.peak_rate("player", window_s=0.1) == 1
    assert log.peak_rate("player", window_s=0.3) == 2


def test_requests_are_written_as_json_lines(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.jsonl")
    request = a_request(1.0, "watch", "a", 2.0, 5)
    log.begin(request)
    log.finish(request)
    log.close()
    log.finish(request)
    (line,) = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "a"
