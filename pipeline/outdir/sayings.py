"""Sentences that were removed: a clip that says one stays out, whatever video it is in.

A sentence is compared as lower-case words (`said_as`), and a clip says it if its words are among the clip's, in a row:
a clip may hold several sentences. What stays of a sentence is a salted hash, and how many words it has.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from manifests.errors import UserError
from pipeline.outdir.named import said_as
from pipeline.outdir.tombstones import TEXT, Tombstones, covers, hashed

LEAST_WORDS = 2
"""Of a sentence: one word alone is in half of a data set."""


def read_sayings(lines: Iterable[str], where: str) -> frozenset[str]:
    """Reads sentences, one a line, as they are compared. UserError, with `where`, for a line of less than two words."""
    found = set()
    for number, line in enumerate(lines, 1):
        said = said_as(line)
        if line.strip() and said.isascii() and len(said.split()) < LEAST_WORDS:
            raise UserError(f"{where}, line {number}: {line[:80]!r} is no sentence; write {LEAST_WORDS} words or more")
        found.add(said)
    return frozenset(found - {""})


class Sayings:
    """The sentences among tombstones."""

    def __init__(self, tombstones: Tombstones) -> None:
        self._plain = sorted(tombstones.texts)
        self._hashed = {it for it in tombstones.hashed if it.kind.removeprefix(TEXT).isdigit()}
        self._sizes = sorted({(it.salt, int(it.kind.removeprefix(TEXT))) for it in self._hashed})

    def __bool__(self) -> bool:
        return bool(self._plain or self._hashed)

    def in_(self, text: str) -> bool:
        """Whether a clip's text says one of them."""
        if not self:
            return False
        said = said_as(text)
        padded = f" {said} "
        return any(f" {one} " in padded for one in self._plain) or self._is_hashed(said.split())

    def _is_hashed(self, words: list[str]) -> bool:
        return any(
            hashed(f"{TEXT}{n}", " ".join(words[at : at + n]), salt) in self._hashed
            for salt, n in self._sizes
            for at in range(len(words) - n + 1)
        )


def kept_out(tombstones: Tombstones) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether a row of a shard must stay out: for its video, or for what it says."""
    sayings = Sayings(tombstones)
    return lambda row: covers(tombstones, row) or sayings.in_(row["caption"])
