"""What the request log answers, and the command that serves a mini-YouTube with one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.commands.mini_youtube import CatalogueName, mini_youtube
from pipeline.demo.media_cache import MediaCache
from pipeline.demo.request_log import LoggedRequest, RequestLog


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


def test_rates_gaps_and_peaks(log: RequestLog) -> None:
    assert log.gaps_s("player") == pytest.approx([0.2, 1.7])
    assert log.peak_rate("watch", "player") == 4
    assert log.peak_rate("player", window_s=0.1) == 1
    assert log.peak_rate("player", window_s=0.3) == 2
    assert log.peak_concurrent("media") == 2
    assert log.peak_concurrent("captions") == 0


def test_an_answer_still_being_sent_counts_as_concurrent() -> None:
    log = RequestLog()
    log.begin(a_request(1.0, "media"))
    log.begin(a_request(2.0, "media"))
    assert log.peak_concurrent("media") == 2


def test_a_cleared_log_is_empty(log: RequestLog) -> None:
    log.clear()
    assert len(log) == 0
    assert log.refused_hosts() == []


def test_requests_are_written_as_json_lines(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.jsonl")
    request = a_request(1.0, "watch", "a", 2.0, 5)
    log.begin(request)
    log.finish(request)
    log.close()
    log.finish(request)
    (line,) = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "a"


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, demo_cache: MediaCache) -> None:
    code = "import typer; from pipeline.commands.mini_youtube import mini_youtube; typer.run(mini_youtube)"
    options = ["--catalogue", "big", "--n-videos", "40", "--log", str(tmp_path / "log.jsonl"), "--behaviour", "private"]
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    environment |= {"HDVILA_DEMO_CACHE": str(demo_cache.root), "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", code, *options], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert server.stdout is not None
        proxy = next(line.split()[1] for line in server.stdout if line.startswith("proxy:"))
        command = [sys.executable, "-P", "-m", "yt_dlp", "--ignore-config", "--proxy", proxy, "--no-check-certificates"]
        command += ["--no-cache-dir", "--flat-playlist", "--print", "id", "ytsearch3:news report"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
        assert done.stdout.split()
    finally:
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "requests answered" in rest
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert kinds == ["home", "search"]


def test_the_command_says_which_behaviours_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HDVILA_DEMO_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="short_media"):
        mini_youtube(CatalogueName.BIG, n_videos=15, behaviour="nonsense")


def test_the_command_says_that_a_port_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HDVILA_DEMO_CACHE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="--port"):
        mini_youtube(CatalogueName.BIG, n_videos=15, port=taken.getsockname()[1])
