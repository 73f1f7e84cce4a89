"""What a video is called where it comes from, and which rows are one video."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.origin import is_site_id, origin_of, same_origin, video_id_of

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


VIDEO = "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    "text",
    [
        VIDEO,
        f"https://www.youtube.com/watch?v={VIDEO}",
        f"https://m.youtube.com/watch?v={VIDEO}&t=3s",
        f"https://youtu.be/{VIDEO}?si=x",
        f"https://www.youtube.com/shorts/{VIDEO}",
        f"https://www.youtube.com/embed/{VIDEO}",
        f"youtube.com/watch?v={VIDEO}",
    ],
)
def test_every_way_to_write_a_video_gives_its_id(text: str) -> None:
    assert video_id_of(text) == VIDEO


@pytest.mark.parametrize("text", ["", "short", "https://example.org/watch?v=" + VIDEO, "../../etc/passwd", VIDEO + "x"])
def test_what_is_no_video_gives_none(text: str) -> None:
    assert video_id_of(text) == ""


@given(st.text(max_size=200))
def test_no_line_breaks_the_reader(text: str) -> None:
    found = video_id_of(text)
    assert found == "" or is_site_id(found)
