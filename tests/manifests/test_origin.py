"""What a video is called where it comes from, and which rows are one video."""

import pyarrow as pa
import pytest

from manifests.origin import origin_of, same_origin

ID = "dQw4w9WgXcQ"
ADDRESSES = [
    f"https://www.youtube.com/watch?v={ID}",
    f"https://youtu.be/{ID}?t=4",
    f"https://m.youtube.com/watch?app=desktop&v={ID}",
    f"https://www.youtube.com/shorts/{ID}",
    f"http://www.youtube-nocookie.com/embed/{ID}?rel=0",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_one_address_and_many_columns_of_them_say_the_same(url: str) -> None:
    table = pa.table({"video_id": ["b", "a", "c"], "url": [url, ADDRESSES[0], "https://vimeo.com/1"]})

    assert origin_of(url) == ID
    assert same_origin(table) == {"b": "a"}


def test_files_and_videos_without_address_are_never_the_same() -> None:
    table = pa.table({"video_id": ["a", "b", "c"], "url": ["file:x.mp4", "file:x.mp4", ""]})

    assert same_origin(table) == {}


def test_a_row_whose_id_is_anothers_id_of_origin_is_that_video() -> None:
    table = pa.table({"video_id": ["0123456789abcdef", ID], "url": [ADDRESSES[1], "file:x.mp4"]})

    assert same_origin(table) == {ID: "0123456789abcdef"}


def test_other_sites_addresses_are_their_own_origin() -> None:
    assert origin_of("https://vimeo.com/76979871/") == "https://vimeo.com/76979871"
    assert origin_of("file:x.mp4") == "" == origin_of("")
