"""Rows of videos in a few bytes say what the tables say, in whatever pieces they came."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.origin import same_origin
from manifests.schema import TABLES
from pipeline.balance.ranking import candidates_of, rank_candidates
from pipeline.outdir.tombstones import Tombstones
from pipeline.run.candidate_rows import VIDEO_COLUMNS, CandidateRows, covered

IDS = [f"{letter * 10}{k}" for letter in "ab_" for k in range(2)] + ["file-1", "x"]
CHANNELS = ["", "UCx", "UCy"]
URLS = ["", "https://vimeo.com/5", "https://youtu.be/aaaaaaaaaa0", "https://www.youtube.com/watch?v=file-1", "usual"]
VIDEO = st.tuples(
    st.sampled_from(IDS), st.integers(1, 3), st.sampled_from(CHANNELS), st.sampled_from([*URLS, "usual", "usual"]),
    st.sampled_from([7.0, 9.5]), st.integers(0, 2), st.sampled_from(["", "h"]),
)  # fmt: skip
CLIP = st.tuples(st.sampled_from(IDS), st.integers(0, 900), st.integers(901, 2000))


def a_table(schema: pa.Schema, names: list[str], rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in names]))


def videos_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    named = [(i, c, ch, f"https://www.youtube.com/watch?v={i}" if u == "usual" else u, *r) for i, c, ch, u, *r in rows]
    return a_table(TABLES["videos"], VIDEO_COLUMNS, named)


@given(st.lists(st.lists(VIDEO, max_size=5), max_size=4), st.lists(CLIP, max_size=8), st.randoms())
@settings(max_examples=80, deadline=None)
def test_candidates_and_origins_are_those_of_the_whole_tables(pieces: Any, clips: Any, draw: Any) -> None:
    rows = CandidateRows()
    draw.shuffle(pieces)
    for piece in pieces:
        rows.add(videos_of(piece))
    by_video = sorted(clips, key=lambda clip: clip[0])
    cut = next((k for k in range(len(by_video)) if by_video[k][0] > "b"), len(by_video))
    for part in (by_video[:cut], by_video[cut:]):
        rows.add_clips(a_table(TABLES["clips"], ["video_id", "start_ms", "end_ms"], part))
    whole = videos_of([row for piece in pieces for row in piece])
    every = a_table(TABLES["clips"], ["video_id", "start_ms", "end_ms"], by_video)

    ranked = rank_candidates(rows.candidates(rows.videos()), 3)
    expected = rank_candidates(candidates_of(whole, every), 3)
    for name in ("video_id", "category_id", "rank", "n_clips", "clips_ms"):
        assert getattr(ranked, name).tolist() == getattr(expected, name).tolist()
    assert ranked.channel_id.cast(pa.string()).equals(expected.channel_id.cast(pa.string()))
    assert same_origin(rows.videos()) == same_origin(whole.sort_by([(name, "ascending") for name in VIDEO_COLUMNS]))


@given(
    st.lists(VIDEO, max_size=6),
    st.sets(st.sampled_from(IDS)),
    st.sets(st.sampled_from(CHANNELS[1:])),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_what_is_opted_out_is_found_by_id_channel_address_or_file(
    videos: Any, ids: set[str], channels: set[str], has_url: bool, is_purged: bool
) -> None:
    urls = frozenset({"https://vimeo.com/5", "bbbbbbbbbb1"} if has_url else ())
    opt_outs = Tombstones(frozenset(ids), frozenset(channels), urls=urls, contents={"h": "x"} if has_url else {})
    opt_outs = opt_outs.as_hashes("salt") if is_purged else opt_outs
    rows, whole = CandidateRows(), videos_of(videos)
    rows.add(whole)

    facts = zip(
        *(whole.column(name).to_pylist() for name in ("video_id", "channel_id", "url", "media_hash")), strict=True
    )
    assert set(covered(opt_outs, rows.videos())) == {one[0] for one in facts if opt_outs.cover(*one)}


def test_the_order_of_rows_with_one_id_does_not_depend_on_when_they_came() -> None:
    one, other = (
        videos_of([("x", 1, "UCx", "", 7.0, 0, ""), ("a", 1, "UCy", "", 7.0, 0, "")]),
        videos_of([("x", 1, "UC", "", 9.5, 1, "")]),
    )
    lengths = []
    for pieces in ((one, other), (other, one)):
        rows = CandidateRows()
        for piece in pieces:
            rows.add(piece)
        videos = rows.videos().to_pylist()
        lengths.append([row["duration_s"] for row in videos if row["video_id"] == "x"])
    assert lengths == [[9.5, 7.0]] * 2
