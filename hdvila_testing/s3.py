"""A real S3 server on loopback (moto's) for tests, and a proxy in front of it that stops half-way through an upload."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.request import Request, urlopen

from pipeline.engine.store.store import Store

BUCKET = "bucket"


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 server listening at `endpoint` (http://127.0.0.1:port)."""

    endpoint: str

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def store(self, prefix: str, *, endpoint: str = "") -> Store:
        """A store in the server's bucket, with a connection of its own."""
        options = {"endpoint_url": endpoint or self.endpoint, "key": "x", "secret": "x", "skip_instance_cache": True}
        return Store(f"s3://{BUCKET}/{prefix}", tuple(options.items()))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that a program needs to find the server from an s3:// URL alone."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3_server() -> Iterator[S3]:
    """Runs a server with an empty bucket for the duration of the block."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        s3 = S3(f"http://{host}:{port}")
        reset = Request(f"{s3.endpoint}/moto-api/reset", method="POST")  # servers of one process share their contents
        with urlopen(reset, timeout=30):
            s3.store("").fs.mkdir(BUCKET)
        yield s3
    finally:
        server.stop()


@dataclass(slots=True)
class Door:
    """Passes a client's bytes on to a server until `limit` is reached, then holds everything back.

    `reached` is set at that moment, when the server has only part of what the client is sending.
    """

    port: int
    limit: int
    reached: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""
    _passed: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Door]:
        """Listens for the duration of the block; every connection is dropped at its end."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            try:
                yield self
            finally:
                for connection in self._sockets:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                    connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                self._sockets += [client, server]
                threading.Thread(target=self._pass_in, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_out, args=(server, client), daemon=True).start()

    def _pass_in(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._passed < self.limit:
                    server.sendall(data)
                    self._passed += len(data)
                else:
                    self.reached.set()
            server.shutdown(socket.SHUT_WR)
            server.close()

    def _pass_out(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
