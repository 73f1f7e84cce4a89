"""Hostile inputs, made from a seed and the real samples: each module makes them for one entry point of the pipeline."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Where real things and traps are: `samples` to start from, and files and URLs that must not be touched."""

    samples: Path
    films: Path
    """A few small films of our own, by container."""
    data_set: Path
    """A small finished data set of our own."""
    trap: Path
    """A folder whose files must not be opened: inputs name them."""
    trap_url: str
    """A URL that must not be requested: inputs name it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One input. `run` makes it in the empty folder given, feeds it to the pipeline and returns the result.

    It raises what the pipeline raises, or NeighbourLost if a good item beside the input was lost.
    """

    group: str
    name: str
    run: Callable[[Path], str]


class NeighbourLost(Exception):
    """A good item was rejected because of a bad one beside it."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Cuts, flips, repeats, swaps or inserts rubbish into the bytes, one to four times."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] if chance.random() < 0.7 else data[at:]


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 30, 300)) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _repeat(data: bytes, chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b][:20_000] * chance.choice((1, 2, 20)) + data[b:]


def _rubbish(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(_PIECES) + data[at:]


def _swap(data: bytes, chance: random.Random) -> bytes:
    a, b, c = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _digits(data: bytes, chance: random.Random) -> bytes:
    """Replaces one digit by a number that no field can hold."""
    places = [i for i, byte in enumerate(data[:200_000]) if 48 <= byte <= 57]
    if not places:
        return data
    at = chance.choice(places)
    return data[:at] + chance.choice(_NUMBERS) + data[at + 1 :]


_CHANGES = (_cut, _flip, _repeat, _rubbish, _swap, _digits)
_NUMBERS = (b"-1", b"9" * 30, b"9" * 5000, b"1e999", b"NaN", b"0x10", b"00", b".", b"1e-320", b"18446744073709551616")
_PIECES = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"&#" + b"9" * 5000 + b";", b"&#xD800;", b"]]>", b"<", b">", b'"',
    b"{", b"[", b"\r\n\r\n", b"\xe2\x80\xae", b"\x1b[31m", b"-->", b"00:00:00.000 --> 99:99:99.999\n", b"\\u0000",
    b"<c><c><c>", b"null", b"../../../../etc/passwd", b"\xf0\x9f\x8e\xb5" * 50, b"%s%n{0.__class__}", b"'; DROP--",
)  # fmt: skip
