"""A clip says a removed sentence if its words are among its own, in a row; a purged one is known by its hash alone."""

import pytest

from pipeline.outdir.sayings import Sayings, read_sayings
from pipeline.outdir.tombstones import Tombstones

ASKED = Tombstones(texts=read_sayings(["", "Call me: 555-0199!", "Ruf mich an."], "asked"))


@pytest.mark.parametrize("purged", [False, True])
def test_a_sentence_is_found_alone_and_among_others_and_nothing_else_is(purged: bool) -> None:
    sayings = Sayings(ASKED.as_hashes("salt") if purged else ASKED)

    said = ["call me 555 0199", "Yes. “Call me, 555–0199” he said.", "RUF MICH AN"]
    others = ["", "call me 555", "recall me 555 0199", "call me 555 01990", "call you me 555 0199"]
    assert [sayings.in_(text) for text in [*said, *others]] == [True] * 3 + [False] * 5
    assert not any(word in line for line in ASKED.as_hashes("salt").lines() for word in ("call", "0199"))
