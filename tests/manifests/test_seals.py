"""A document that carries its checksum: nothing lost or flipped goes unnoticed, and what a person wrote is read."""

import json

import pytest

from manifests.seals import is_broken, is_sealed, sealed

DOCUMENT = json.dumps({"batch": 7, "ids": ["a", "b"]}, indent=1).encode()


@pytest.mark.parametrize("document", [DOCUMENT, b"", b"<html>\n</html>\n"])
def test_a_sealed_document_says_what_it_said(document: bytes) -> None:
    data = sealed(document)

    assert is_sealed(data) and not is_broken(data)
    assert data.split() == document.split()
    assert not document.startswith(b"{") or json.loads(data) == json.loads(document)


def test_no_flipped_bit_and_no_lost_end_goes_unnoticed() -> None:
    data = sealed(DOCUMENT)

    for at in range(len(data)):
        for bit in range(8):
            harmed = bytearray(data)
            harmed[at] ^= 1 << bit
            assert not is_sealed(bytes(harmed)), f"byte {at}"
        cut = data[:at]
        assert not is_sealed(cut)
        assert is_broken(cut) or cut.strip() == DOCUMENT or not _is_json(cut), f"cut at {at} reads as if it was whole"


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("edited", [DOCUMENT, DOCUMENT + b"\n", sealed(DOCUMENT) + b"more\n"])
def test_what_a_person_edited_has_no_seal_and_is_not_called_broken(edited: bytes) -> None:
    assert not is_sealed(edited) and not is_broken(edited)
