"""The page served in a thread, and who asks for it as a browser does, or not."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from pipeline.browse.guard import Guard
from pipeline.browse.marks import Marks
from pipeline.browse.review import Drawn
from pipeline.browse.rows import Rows
from pipeline.browse.server import Browser, Server
from pipeline.engine.store.store import Store


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Client:
    """Asks with the cookie, unless told otherwise."""

    guard: Guard
    rows: Rows

    def ask(self, path: str, method: str = "GET", body: str = "", **headers: str) -> Got:
        """Of headers, `_` stands for `-`; "" leaves one away."""
        cookie = self.guard.cookie.partition(";")[0]
        given = {"Host": f"127.0.0.1:{self.guard.port}", "Cookie": cookie}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.guard.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**given, **({"Content-Length": str(len(body))} if body else {})}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body.encode() or None)
        answer = connection.getresponse()
        got = Got(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return got

    def get(self, path: str, **query: object) -> Got:
        return self.ask(f"{path}?{urlencode(query)}" if query else path)


@contextmanager
def serving(
    store: Store, rows: Rows, marks: Marks, drawn: Drawn | None = None, tower: Path | None = None
) -> Iterator[Client]:
    with Server(Browser(store, rows, marks, drawn, tower), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Client(server.guard, rows)
        server.shutdown()
        thread.join()
