"""Addresses of channels."""

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources.channel import url_of

ID = "UC" + "a-_B1" * 4 + "xy"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (ID, f"channel/{ID}"),
        ("@some.one", "@some.one"),
        (f"https://m.youtube.com/channel/{ID}/about", f"channel/{ID}"),
        ("https://www.youtube.com/c/Name", "c/Name"),
        ("http://youtube.com/user/name/videos", "user/name"),
    ],
)
def test_an_id_a_handle_and_an_address_give_its_videos(given: str, path: str) -> None:
    assert url_of(given) == f"https://www.youtube.com/{path}/videos"


@pytest.mark.parametrize("given", ["", "name", ID[:-1], "https://example.com/@x", "@a b"])
def test_what_is_no_channel_is_named_in_the_error(given: str) -> None:
    with pytest.raises(UserError, match="is not a channel"):
        url_of(given)
