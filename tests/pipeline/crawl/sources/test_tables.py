"""The rows of a list in every kind of file, and files that are none."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources import tables
from pipeline.crawl.sources.tables import hashes_of, read_rows

VIDEO = "dQw4w9WgXcQ"


def rows_of(file: Path, content: str | bytes) -> list[object]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(str(file)))


def test_cells_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    made = rows_of(tmp_path / "t.csv", '\ufeffurl,caption\r\nhttp://a/1,"one, ""two""\nthree"\r\nhttp://a/2,\r\n')
    assert made == [{"url": "http://a/1", "caption": 'one, "two"\nthree'}, {"url": "http://a/2"}]


@pytest.mark.parametrize("first", [VIDEO, f"{VIDEO},", f",https://youtu.be/{VIDEO}"])
def test_a_list_may_lack_a_row_of_names(tmp_path: Path, first: str) -> None:
    assert rows_of(tmp_path / "t.csv", first + "\n") in ([{"url": VIDEO}], [{"url": f"https://youtu.be/{VIDEO}"}])


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    """As in VGGSound's table: id, start, label and split."""
    rows = rows_of(tmp_path / "t.csv", f'{VIDEO},30,"bells, pealing",test\n--4IxR2xOg0,1,,train\n')
    assert rows[0] == {"column 1": VIDEO, "column 2": "30", "column 3": "bells, pealing", "column 4": "test"}
    assert rows[1] == {"column 1": "--4IxR2xOg0", "column 2": "1", "column 4": "train"}


@pytest.mark.parametrize(
    "names",
    ["description,id", "timestamp_1,id", "caption_en1,id", "text,Youtube_ID2", "text,youtubeId12", "1st_cap_txt,id"],
)
def test_names_of_eleven_letters_and_digits_are_no_ids(tmp_path: Path, names: str) -> None:
    first, second = names.split(",")
    assert rows_of(tmp_path / "t.csv", f"{names}\nwords,{VIDEO}\n") == [{first: "words", second: VIDEO}]


def test_what_is_no_row_is_given_as_its_text(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "t.jsonl", '[1]\n\n{"id": "a"}\nnonsense\n') == ["[1]", {"id": "a"}, "nonsense"]
    deep = "[" * 200_000
    assert rows_of(tmp_path / "t.jsonl", f"{deep}\n{json.dumps({'id': 'b'})}\n") == [deep, {"id": "b"}]


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1000)
    made = rows_of(tmp_path / "t.jsonl", '{"id": "' + "x" * 5000 + '"}\n{"id": "b"}\n')
    assert made[-1] == {"id": "b"} and len(made) == 7
    made = rows_of(tmp_path / "t.csv", 'id\n"' + "x" * 5000 + "\na\nb\n")
    assert len(made) < 8 and all(len(str(row)) < 1100 for row in made), "a quote without an end swallows some lines"


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.parquet", b"x"), ("t.csv.gz", b"no gzip"), ("t.jsonl.zst", b"no zstd"), ("none.csv", None)],
)
def test_a_file_that_cannot_be_read_is_one_message(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        list(read_rows(str(tmp_path / name)))


class Lists(http.server.BaseHTTPRequestHandler):
    """Serves a list whose length it does not say; /gone and /refused are what they are called."""

    def do_GET(self) -> None:
        code = {"/gone.csv": 404, "/refused.csv": 403}.get(self.path.partition("?")[0], 200)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(VIDEO.encode() * (code == 200))

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def at() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lists) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_list_at_an_address_is_known_by_its_content_and_noted_without_who_may_read_it(at: str) -> None:
    found = hashes_of([f"{at}/list.csv?page=2&token=secret"])

    assert found == {f"{at}/list.csv?page=2": hashlib.sha256(VIDEO.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("AT/gone.csv?token=secret", "AT/gone.csv: no such file"),
        ("AT/refused.csv?token=secret", "AT/refused.csv: cannot be read (403, message='Forbidden'"),
        (
            "http://127.0.0.1:1/list.csv",
            "http://127.0.0.1:1/list.csv: cannot be read (Cannot connect to host 127.0.0.1:1",
        ),
    ],
)
def test_what_is_wrong_with_a_list_at_an_address_is_said_without_secrets(at: str, address: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        hashes_of([address.replace("AT", at)])

    assert str(refused.value).startswith(said.replace("AT", at)) and "secret" not in str(refused.value)
