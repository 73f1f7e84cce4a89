"""Requests to a store, counted as they are made."""

from pathlib import Path

from hdvila_testing.requests import count_requests
from pipeline.engine.store.store import Store


def test_every_request_is_counted_once_and_calls_within_calls_are_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with count_requests() as counted:
        store.write("a", b"123")
        store.read("a")
        store.names("")
        store.exists("b")
    store.read("a")
    assert counted.n == counted.n_sequential == 4
    assert counted.n_bytes == 6
