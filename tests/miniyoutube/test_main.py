"""`python -m miniyoutube` serves the embedded site."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from miniyoutube.__main__ import main
from miniyoutube.media_cache import MediaCache


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, demo_cache: MediaCache) -> None:
    options = ["--catalogue", "big", "--n-videos", "40", "--log", str(tmp_path / "log.jsonl")]
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    environment |= {"HDVILA_DEMO_CACHE": str(demo_cache.root), "PYTHONUNBUFFERED": "1"}
    served = [sys.executable, "-m", "miniyoutube", *options]
    server = subprocess.Popen(served, stdout=subprocess.PIPE, text=True, env=environment)
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


def test_the_command_says_that_a_port_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HDVILA_DEMO_CACHE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main(["--catalogue", "big", "--n-videos", "15", "--port", str(taken.getsockname()[1])])
    assert "choose another with --port" in capsys.readouterr().err
