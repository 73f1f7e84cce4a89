"""What a person pastes is understood in every form, or named: nothing is passed over."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hdvila_testing.shards as toys
from hdvila_testing.rows import commit_rows
from manifests.errors import UserError
from manifests.origin import origin_of
from pipeline.engine.store.store import Store
from pipeline.outdir.named import Named, read_named, resolve, said_as

ID, CHANNEL, LIST = "dQw4w9WgXcQ", "UCabcdefghijklmnopqrstuv", "PLBCF2DAC6FFB574DE"
VIDEOS = """
https://www.youtube.com/watch?v=dQw4w9WgXcQ
http://youtube.com/watch?v=dQw4w9WgXcQ
HTTPS://WWW.YouTube.com/watch?v=dQw4w9WgXcQ&list=PLBCF2DAC6FFB574DE&index=2&pp=x
youtube.com/watch?feature=share&v=dQw4w9WgXcQ#t=3
m.youtube.com/watch?v=dQw4w9WgXcQ
https://music.youtube.com/watch?v=dQw4w9WgXcQ&si=x
https://youtu.be/dQw4w9WgXcQ?t=3
youtu.be/dQw4w9WgXcQ
https://www.youtube.com/shorts/dQw4w9WgXcQ?feature=share
https://www.youtube.com/live/dQw4w9WgXcQ
https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?rel=0
https://www.youtube.com/v/dQw4w9WgXcQ
https://studio.youtube.com/video/dQw4w9WgXcQ/edit
video dQw4w9WgXcQ
video https://youtu.be/dQw4w9WgXcQ
<https://youtu.be/dQw4w9WgXcQ>,
https://youtu.be/dQw4w9WgXcQ  # asked by mail
""".strip().splitlines()
CHANNELS = """
UCabcdefghijklmnopqrstuv
channel UCabcdefghijklmnopqrstuv
https://www.youtube.com/channel/UCabcdefghijklmnopqrstuv
youtube.com/channel/UCabcdefghijklmnopqrstuv/videos
https://m.youtube.com/channel/UCabcdefghijklmnopqrstuv/about?view=1#x
https://music.youtube.com/channel/UCabcdefghijklmnopqrstuv
https://studio.youtube.com/channel/UCabcdefghijklmnopqrstuv/videos/upload
https://www.youtube.com/embed/live_stream?channel=UCabcdefghijklmnopqrstuv
channel https://www.youtube.com/channel/UCabcdefghijklmnopqrstuv
""".strip().splitlines()
NAMES = """
@TheName
channel @TheName
https://www.youtube.com/@TheName
youtube.com/@thename/shorts
https://www.youtube.com/%40TheName/live
""".strip().splitlines()


@pytest.mark.parametrize("line", [*VIDEOS, f"\ufeff{VIDEOS[0]}"])
def test_every_address_of_a_video_is_its_id(line: str) -> None:
    assert read_named([line], "x") == Named(videos=frozenset({ID}))


@pytest.mark.parametrize("line", CHANNELS)
def test_every_address_of_a_channel_is_its_id(line: str) -> None:
    assert read_named([line], "x") == Named(channels=frozenset({CHANNEL}))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        *((line, "name") for line in NAMES),
        ("https://www.youtube.com/c/ELEVENCHARS", "name"),
        ("https://www.youtube.com/user/ELEVENCHARS", "name"),
        ("https://www.youtube.com/ELEVENCHARS/videos", "name"),
        (f"https://www.youtube.com/playlist?list={LIST}", "playlist"),
        (f"https://www.youtube.com/embed/videoseries?list={LIST}", "playlist"),
        (LIST, "playlist"),
        ("https://www.youtube.com/clip/UgkxAbcdefghijklmnop", "clip"),
    ],
)
def test_what_only_the_site_can_tell_is_never_taken_for_a_video(line: str, kind: str) -> None:
    named = read_named([line], "x")

    assert [place.kind for place, _ in named.open] == [kind] and named.unresolved == [line]
    assert not named.videos | named.channels | named.urls | named.words


ONE_PLACE = [
    "https://vimeo.com/76979871",
    "http://www.Vimeo.com:80/76979871/?utm_source=x&fbclid=y#comments",
    "vimeo.com/76979871",
    "https://user:password@vimeo.com:443/76979871?si=1",
    "url https://vimeo.com/%376979871",
]


@pytest.mark.parametrize("line", ONE_PLACE)
def test_addresses_of_other_sites_have_one_form(line: str) -> None:
    assert read_named([line], "x").urls == {"https://vimeo.com/76979871"}


def test_a_query_says_what_is_meant_and_no_more_than_it_says() -> None:
    one, other, site = (origin_of(f"https://a.example/{rest}") for rest in ("?v=1&utm_term=x", "?v=2", ""))

    assert len({one, other, site}) == 3 and origin_of("http://a.example?v=1") == origin_of("https://a.example/?v=1")
    assert origin_of("https://bücher.example/é x") == origin_of("https://xn--bcher-kva.example/%C3%A9%20x")


@pytest.mark.parametrize("line", ["a b c", "https://www.youtube.com/", "/media.example", "video", "youtube.com/feed/x"])
def test_a_line_that_names_nothing_is_an_error_with_its_place(line: str) -> None:
    if line == "video":  # an id like any other word
        assert read_named([line], "x").words == {"video"}
        return
    with pytest.raises(UserError, match=r"asked\.txt, line 2: "):
        read_named(["# head", line], "asked.txt")


@given(st.text(max_size=80))
def test_any_line_is_understood_or_named(text: str) -> None:
    try:
        read_named([text, f"https://{text}", f"youtube.com/{text}", f"video {text}"], "x")
    except UserError as error:
        assert "line" in str(error)


def test_names_and_playlists_are_looked_up_in_what_was_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    toys.commit_video(store, ID, channel_id=CHANNEL)
    rows = [
        _listed("aaaaaaaaaaa", source="channel", query="https://www.youtube.com/@TheName", channel_id=CHANNEL),
        _listed("bbbbbbbbbbb", source="playlist", query=LIST, channel_id="UC-other"),
        _listed("ccccccccccc", source="search", query="@other", channel_id="UC-other"),
    ]
    commit_rows(store, "list", "listed", {"listings": rows})

    found = resolve(read_named([*NAMES, LIST, "@other", "@unheard"], "x"), store)

    assert found.channels == {CHANNEL} and found.videos == {"bbbbbbbbbbb"}
    assert found.unresolved == ["@other", "@unheard"]


def _listed(video_id: str, **facts: str) -> dict[str, object]:
    blank = dict.fromkeys(("title", "live_status", "availability", "given_spans"), "")
    numbers = {"wanted_category_id": -1, "position": 0, "duration_s": 0.0, "view_count": -1, "starts_at": 0, "round": 0}
    return {"video_id": video_id, **blank, **numbers, **facts}


def test_texts_are_compared_without_case_and_marks() -> None:
    assert said_as("Hit Subscribe, please!") == said_as("hit subscribe please")
