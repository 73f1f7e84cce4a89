"""A loopback stand-in of the Hugging Face hub: what huggingface_hub asks to make a repository and upload a folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import MappingProxyType
from typing import Any

import huggingface_hub.constants
import pytest

TOKEN = "hf_of_the_stand_in"


class HubStandIn(ThreadingHTTPServer):
    """Repositories in memory; a data set's is `datasets/OWNER/NAME`. `refuse`: {a part of a path: the status of its
    answer}."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.private: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.n_commits: dict[str, int] = {}
        self.large: dict[str, bytes] = {}
        self.refuse: dict[str, int] = {}
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubStandIn

    def log_message(self, *args: object) -> None:
        pass

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, document: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self) -> bool:
        for part, status in self.server.refuse.items():
            if part in self.path:
                self._answer({"error": "the stand-in refuses"}, status)
                return True
        return False

    def do_GET(self) -> None:
        asked, tree, _ = self.path.partition("?")[0].partition("/tree/")
        name = _repository(asked)
        if self._refused():
            return
        if name not in self.server.private:
            self._answer({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif tree:
            files = self.server.files[name].items()
            self._answer([{"type": "file", "path": path, "size": len(data), "oid": "1"} for path, data in files])
        else:
            self._answer({"id": name.removeprefix("datasets/"), "private": self.server.private[name], "siblings": []})

    def do_PUT(self) -> None:
        body = self._body()
        if not self._refused():
            self.server.large[self.path.removeprefix("/large/")] = body
            self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        self.server.tokens.add(self.headers.get("Authorization"))
        if self._refused():
            return
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._answer({"files": [_mode(file["path"]) for file in json.loads(body)["files"]]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            asked = json.loads(body)["objects"]
            self._answer({"transfer": "basic", "objects": [self._large(each) for each in asked]})
        elif "/commit/" in self.path:
            self._commit(_repository(self.path.partition("/commit/")[0]), body)
        else:
            self._answer({}, 404)

    def _create(self, asked: dict[str, Any]) -> None:
        folder = "datasets/" * (asked.get("type") == "dataset")
        name = f"{folder}{asked['organization']}/{asked['name']}"
        if name in self.server.private:
            self._answer({"error": "exists", "url": f"{self.server.url}/{name}"}, 409)
            return
        self.server.private[name] = asked.get("private", asked.get("visibility") == "private")
        self.server.files[name] = {".gitattributes": b""} if folder else {}
        self._answer({"url": f"{self.server.url}/{name}"})

    def _large(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {**asked, "actions": {"upload": {"href": f"{self.server.url}/large/{asked['oid']}"}}}

    def _commit(self, name: str, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.files[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[name][value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del self.server.files[name][value["path"]]
        n = self.server.n_commits[name] = self.server.n_commits.get(name, 0) + 1
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{n}", "commitOid": str(n)})


def _repository(path: str) -> str:
    """`OWNER/NAME` or `datasets/OWNER/NAME`, of an address of the hub's interface."""
    return path.removeprefix("/api/").removeprefix("models/")


def _mode(path: str) -> dict[str, Any]:
    is_large = path.endswith((".safetensors", ".parquet", ".tar"))
    return {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}


@contextmanager
def hub_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """The server, which huggingface_hub takes for the hub until the block ends."""
    server = HubStandIn()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
