"""Untrusted folders: files with any name beside captions and info.json of any kind, links, pipes and devices."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home, NeighbourLost, mutated
from bench.hostile_inputs.captions import GOOD
from bench.hostile_inputs.media import run_folder_stage

INFO = {
    "id": "abcdefghijk",
    "title": "A plain title",
    "webpage_url": "https://www.youtube.com/watch?v=abcdefghijk",
    "categories": ["Music"],
    "channel_id": "UCabcdefghijklmnopqrstuv",
    "channel": "A channel",
    "view_count": 1234,
    "age_limit": 0,
    "upload_date": "20200102",
    "license": "",
    "language": "en",
    "subtitles": {"en": [{"ext": "vtt"}]},
    "automatic_captions": {"en": []},
    "_version": {"version": "2026.01.01"},
}


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` folders: a third with odd names, a third with odd sidecars, a third with irregular files."""
    for number in range(n):
        chance = random.Random(f"{seed} folders {number}")
        make = (_odd_name, _odd_info, _odd_file)[number % 3]
        name = f"{make.__name__.strip('_').replace('_', ' ')}, {number}"
        yield Case("folders", name, lambda folder, m=make, c=chance: _try(m, c, folder, home))  # type: ignore[misc]


def _try(make: Any, chance: random.Random, folder: Path, home: Home) -> str:
    films = folder / "films"
    films.mkdir()
    film = home.films / "film.mp4"
    for name in ("aaa_good", "zzz_good"):
        (films / f"{name}.mp4").write_bytes(film.read_bytes() + name.encode())
        (films / f"{name}.en.vtt").write_bytes(GOOD)
    make(films, film, chance, home)
    reasons, videos, _ = run_folder_stage(films, folder)
    if {"aaa_good", "zzz_good"} - videos:
        raise NeighbourLost(str(reasons))
    return next(iter(reasons.values()), "candidates")


def _odd_name(films: Path, film: Path, chance: random.Random, home: Home) -> None:
    stem = b"".join(chance.choice(_NAME_PIECES) for _ in range(chance.randint(1, 6)))[: chance.choice((8, 60, 240))]
    stem = stem.replace(b"/", b"_").replace(b"\0", b"_") or b"x"
    suffix = chance.choice((b".mp4", b".mkv", b"", b".mp4.mp4", b".MP4"))
    shutil.copy(film, films / os.fsdecode(stem + suffix))
    beside = films / os.fsdecode(stem + chance.choice((b".en.vtt", b".vtt", b".en-orig.vtt", b".\xff.vtt")))
    beside.write_bytes(GOOD)


_NAME_PIECES = (
    b"\xff\xfe", b"\xed\xa0\x80", b"a" * 60, b"..", b"-rf ", b"\n", b"\r", b"\x1b[2J", b"%s", b"{0}", b"$(touch x)", b"`id`",
    "\u202e".encode(), "\U0001f3b5".encode(), b"'", b'"', b"|", b";", b"<script>", b"CON", b" ", b"\\", b"file:", b"pipe:0",
    b"http:", b"concat:", b"~", b"#", b"?", b"*", b"[x]", b"part", b"good",
)  # fmt: skip


def _odd_info(films: Path, film: Path, chance: random.Random, home: Home) -> None:
    shutil.copy(film, films / "odd_info-01.mp4")
    (films / "odd_info-01.en.vtt").write_bytes(GOOD)
    info: dict[str, Any] = dict(INFO)
    for key in chance.sample(sorted(info), chance.randint(1, 5)):
        info[key] = chance.choice(_VALUES(home))
    data = json.dumps(info).encode() if chance.random() < 0.8 else b"{" * 5000
    if chance.random() < 0.4:
        data = mutated(data, chance)
    (films / "odd_info-01.info.json").write_bytes(data)


def _VALUES(home: Home) -> list[Any]:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    return [
        None, True, -1, 10**30, 1e308, float("nan"), "", "x" * 100_000, "\ud800", "a\0b", [], {}, [None], {"en": None}, deep,
        "http://[x", "http://[::1", "javascript:alert(1)", home.trap_url, f"file://{home.trap}/secret.txt", "../../x",
        "<script>alert(1)</script>", "\x1b[31mred", "99999999999999999999", "٣", {"version": 5}, ["\ud800"], [["Music"]],
    ]  # fmt: skip


def _odd_file(films: Path, film: Path, chance: random.Random, home: Home) -> None:
    """Makes something that is not a regular file under a name that the folder source looks at."""
    shutil.copy(film, films / "odd_file-01.mp4")
    name = chance.choice(
        ("odd_file-01.en.vtt", "odd_file-01.info.json", "odd_file-02.mp4", "odd_file-01.en.json3", "sub")
    )
    path = films / name
    match chance.choice(
        ("directory", "fifo", "dangling", "device", "loop", "memory", "sparse", "closed", "folder loop")
    ):
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "dangling":
            path.symlink_to(films / "nowhere")
        case "device":
            path.symlink_to(chance.choice(("/dev/zero", "/dev/full", "/dev/null")))
        case "loop":
            path.symlink_to(path)
        case "memory":
            path.symlink_to("/proc/self/mem")
        case "sparse":
            with path.open("wb") as file:
                file.truncate(chance.choice((1 << 20, 1 << 34, 1 << 40)))
        case "closed":
            path.write_bytes(b"")
            path.chmod(0)
        case _:
            path.symlink_to(films)
