"""Who asked to be left out stays out, and a list that cannot be read is never passed over."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from manifests.errors import UserError
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, write_tombstones
from pipeline.site import optout
from pipeline.site.optout import load_opt_outs, parse_opt_out

VIDEO, CHANNEL = "dQw4w9WgXcQ", "UCabcdefghijklmnopqrstuv"


def test_a_list_names_videos_channels_and_addresses_and_may_begin_with_a_mark_of_its_order(tmp_path: Path) -> None:
    text = f"\ufeff# head\n\n{VIDEO}  # asked on 3 May\nvideo mine\nyoutube.com/channel/{CHANNEL}/about\nvimeo.com/7\n"

    found = parse_opt_out(text, "list.txt", Store(str(tmp_path)))

    assert found == Tombstones(
        frozenset({VIDEO, "mine"}), frozenset({CHANNEL}), urls=frozenset({"https://vimeo.com/7"})
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [("nonsense", "'nonsense' is no id"), ("a b c", "line 2: 'a b c'"), ("@somebody", "@somebody means; open it")],
)
def test_a_line_that_names_nothing_here_is_an_error_that_names_it(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        parse_opt_out(f"{VIDEO}\n{line}", "list.txt", Store(str(tmp_path)))
    assert error.value.exit_code == (1 if line.startswith("@") else 2)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_opt_outs([str(tmp_path / "none.txt")], Store(str(tmp_path)))


def test_files_and_tombstones_add_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    write_tombstones(store, Tombstones(videos=frozenset({"aaaaaaaaaaa"})))
    (tmp_path / "list.txt").write_text(f"{CHANNEL}\n")
    found = load_opt_outs([str(tmp_path / "list.txt")], store)
    assert found.cover("aaaaaaaaaaa", "")
    assert found.cover("bbbbbbbbbbb", CHANNEL)
    assert not found.cover("bbbbbbbbbbb", "UCother")


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a list with one video."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(VIDEO.encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/list"


@pytest.mark.parametrize(("limit", "is_read"), [(len(VIDEO), True), (len(VIDEO) - 1, False)])
def test_a_list_at_an_address_is_read_to_its_limit_and_not_beyond(
    address: str, monkeypatch: pytest.MonkeyPatch, limit: int, is_read: bool
) -> None:
    monkeypatch.setattr(optout, "MAX_BYTES", limit)
    if is_read:
        assert optout.read_source(address) == VIDEO
        return
    with pytest.raises(UserError, match=f"larger than {limit} bytes"):
        optout.read_source(address)


def test_a_list_is_read_from_home_and_from_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.txt").write_text(VIDEO)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert optout.read_source("~/list.txt") == VIDEO
    Store("memory://lists").write("list.txt", CHANNEL.encode())
    assert optout.read_source("memory://lists/list.txt") == CHANNEL


def test_a_list_is_read_to_its_limit_and_not_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optout, "MAX_BYTES", 12)
    path = tmp_path / "list.txt"
    path.write_text(VIDEO + "\n")
    assert optout.read_source(str(path)) == VIDEO + "\n"
    path.write_text(VIDEO + "\n\n")
    with pytest.raises(UserError, match="is larger than 12 bytes"):
        optout.read_source(str(path))
    monkeypatch.undo()
    assert optout.MAX_BYTES == 256 * 1024**2
