"""Addresses of playlists."""

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources.playlist import url_of

ID = "PL" + "a-_B1" * 6


@pytest.mark.parametrize(
    "given", [ID, f"https://www.youtube.com/playlist?list={ID}", f"https://youtu.be/abc?v=x&list={ID}&index=3"]
)
def test_an_id_and_an_address_give_the_playlist(given: str) -> None:
    assert url_of(given) == f"https://www.youtube.com/playlist?list={ID}"


@pytest.mark.parametrize("given", ["", "PL", "a b", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"])
def test_what_is_no_playlist_is_named_in_the_error(given: str) -> None:
    with pytest.raises(UserError, match="is not a playlist"):
        url_of(given)
