"""Addresses of the site's lists: words come back as they were given, what is no channel or playlist is named."""

from urllib.parse import parse_qs, urlsplit

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources.site_lists import SEARCH_FILTER, channel_url, playlist_url, search_url

CHANNEL = "UC" + "a-_B1" * 4 + "xy"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (CHANNEL, f"channel/{CHANNEL}"),
        ("@some.one", "@some.one"),
        (f"https://m.youtube.com/channel/{CHANNEL}/about", f"channel/{CHANNEL}"),
        ("https://www.youtube.com/c/Name", "c/Name"),
        ("http://youtube.com/user/name/videos", "user/name"),
    ],
)
def test_an_id_a_handle_and_an_address_give_its_videos(given: str, path: str) -> None:
    assert channel_url(given) == f"https://www.youtube.com/{path}/videos"


@pytest.mark.parametrize("given", ["", "name", CHANNEL[:-1], "https://example.com/@x", "@a b"])
def test_what_is_no_channel_is_named_in_the_error(given: str) -> None:
    with pytest.raises(UserError, match="is not a channel"):
        channel_url(given)


PLAYLIST = "PL" + "a-_B1" * 6


@pytest.mark.parametrize(
    "given",
    [
        PLAYLIST,
        f"https://www.youtube.com/playlist?list={PLAYLIST}",
        f"https://youtu.be/abc?v=x&list={PLAYLIST}&index=3",
    ],
)
def test_an_id_and_an_address_give_the_playlist(given: str) -> None:
    assert playlist_url(given) == f"https://www.youtube.com/playlist?list={PLAYLIST}"


@pytest.mark.parametrize("given", ["", "PL", "a b", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"])
def test_what_is_no_playlist_is_named_in_the_error(given: str) -> None:
    with pytest.raises(UserError, match="is not a playlist"):
        playlist_url(given)


def test_words_come_back_as_they_were() -> None:
    words = "guitar & bass, 100 % ü?"
    query = parse_qs(urlsplit(search_url(words)).query)
    assert query == {"search_query": [words], "sp": [SEARCH_FILTER]}
