"""The XML formats: which elements are cues, and what each way of writing a time means."""

import pytest

from pipeline.text.captions import BrokenTrack
from pipeline.text.captions.track import Row
from pipeline.text.captions.xml_tracks import read_xml


def ttml(body: str, head: str = "") -> list[Row]:
    return read_xml(f'<tt xmlns="http://www.w3.org/ns/ttml" {head}><body>{body}</body></tt>').rows


def times(p: str, head: str = "") -> tuple[int, int | None]:
    [row] = ttml(f"<p {p}>it</p>", head)
    return row.start_ms, row.end_ms


RATES = 'xmlns:ttp="urn:x" ttp:frameRate="25" ttp:tickRate="10000"'


@pytest.mark.parametrize(
    ("raw", "ms"),
    [
        ("1h", 3_600_000), ("2m", 120_000), ("3s", 3000), ("4", 4000), ("250ms", 250), ("1.5s", 1500),
        ("50f", 2000), ("25000t", 2500), ("01:02:03", 3_723_000), ("00:00:01.5", 1500), ("00:00:01,25", 1250),
        ("00:00:01:05", 1200), ("00:00:01:05.5", 1220), (" 3s ", 3000),
    ],
)  # fmt: skip
def test_a_time_of_ttml_is_clock_time_or_an_offset_with_a_unit(raw: str, ms: int) -> None:
    assert times(f'begin="{raw}"', RATES) == (ms, None)


def test_frames_are_thirtieths_and_ticks_are_seconds_where_nothing_else_is_said() -> None:
    assert times('begin="15f"') == (500, None) and times('begin="2t"') == (2000, None)
    assert times('begin="00:00:01:15"') == (1500, None)


def test_a_cue_ends_where_it_says_or_after_its_duration() -> None:
    assert times('begin="1s" end="3s"') == (1000, 3000)
    assert times('begin="1s" dur="3s"') == (1000, 4000)
    assert times('begin="1s" end="3s" dur="9s"') == (1000, 3000), "the end counts, where both are given"
    assert times('begin="1s"') == (1000, None)


@pytest.mark.parametrize("raw", ["", "x", "1x", "1:2", "-1s", "1e3s", "00:00:00:00:00"])
def test_text_without_a_usable_time_is_a_reject_that_names_it(raw: str) -> None:
    with pytest.raises(BrokenTrack, match="without a usable time") as caught:
        ttml(f'<p begin="{raw}">it</p>')
    assert repr(raw) in caught.value.detail
    assert ttml(f'<p begin="{raw}"> </p><p begin="1s">it</p>')[0].start_ms == 1000, "without text no time is needed"


def test_the_text_of_a_cue_has_its_spans_and_lines_in_order() -> None:
    body = '<p begin="1s">one <span>two <span>three</span> four</span> five<br/>six\n   seven<br/> eight &amp;amp; </p>'
    assert ttml(body)[0].text == "one two three four five\nsix seven\n eight & "
    nested = '<div><p begin="1s">a<p begin="2s">b</p>c</p></div><p begin="3s">d</p>'
    assert [(row.start_ms, row.text) for row in ttml(nested)] == [(1000, "abc"), (3000, "d")], "cues do not nest"
    assert read_xml('<tt xml:lang="fr"><p begin="1s">oui</p></tt>').language == "fr"


def test_srv1_counts_seconds_and_srv2_milliseconds() -> None:
    one = read_xml(
        '<transcript><text start="1.5" dur="2.25">a</text><text start="4">b</text><text dur="1">c</text></transcript>'
    )
    assert one.format == "srv1" and [(r.start_ms, r.end_ms) for r in one.rows] == [
        (1500, 3750),
        (4000, None),
        (0, 1000),
    ]
    two = read_xml('<timedtext><text t="1500" d="2250">a</text><text t="9"> </text><text t="1,5">c</text></timedtext>')
    assert two.format == "srv2" and [(r.start_ms, r.end_ms) for r in two.rows] == [(1500, 3750), (2, None)]


def srv3(body: str) -> list[Row]:
    return read_xml(f'<timedtext format="3"><body>{body}</body></timedtext>').rows


def test_srv3_words_count_from_their_row() -> None:
    [row] = srv3('<p t="1000" d="900"><s>one</s><s t="300"> two</s><s> three</s></p>')
    assert (row.start_ms, row.end_ms, row.inner_times) == (1000, 1900, 1)
    assert [tuple(piece) for piece in row.pieces] == [("one", 1000), (" two", 1300), (" three", None)]
    [row] = srv3('<p t="1000">so <s t="200">it</s>\n <s t="300">goes</s><br/>on</p>')
    assert [tuple(piece) for piece in row.pieces] == [
        ("so ", 1000), ("it", 1200), (" ", None), ("goes", 1300), ("\n", None), ("on", None),
    ]  # fmt: skip
    assert (row.end_ms, row.inner_times) == (None, 2)
    [row] = srv3('<p t="1000"><s t="200">it</s></p><p t="5"> <s> </s></p>')
    assert (row.pieces[0].start_ms, row.inner_times) == (1200, 0)


@pytest.mark.parametrize("head", ['<!DOCTYPE transcript SYSTEM "file:///etc/passwd">', '<!ENTITY a "b">'])
def test_a_document_type_or_an_entity_alone_is_refused_before_the_file_is_parsed(head: str) -> None:
    with pytest.raises(BrokenTrack, match="declares a document type or entities"):
        read_xml(f'{head}<transcript><text start="0">it</text></transcript>')
