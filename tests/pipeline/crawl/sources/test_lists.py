"""Lists in the forms in which others publish them: every video once, with all its clips, and no line is lost."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from bench.hostile_inputs import mutated
from manifests.errors import UserError
from manifests.origin import is_site_id
from pipeline.config.sources import ListsConfig
from pipeline.crawl.sources import Listed, lists
from pipeline.crawl.sources.forms import form_of
from pipeline.crawl.sources.lists import END, list_part, media_rows, read_head
from pipeline.crawl.sources.tables import read_rows
from tests.pipeline.crawl.sources.published import ADDRESS, FORMS, publish, webvid, written

IDS = ("--4IxR2xOg0", "_97kyZVWVG0", "nVbIUDjzWY4")
SPANS = [(0, 1043, 5440), (1, 6100, 8833)]


def listed(file: Path, config: ListsConfig | None = None) -> list[Listed]:
    """All parts of a list of the site's videos."""
    found: list[Listed] = []
    cursor = 0
    while cursor < END:
        part, cursor = list_part(str(file), config or ListsConfig(), cursor)
        found += part
    return found


def spans(video: Listed) -> list[tuple[int, int, int]]:
    return [(span["n"], span["start_ms"], span["end_ms"]) for span in json.loads(video.given_spans or "[]")]


def texts(video: Listed) -> list[str]:
    return [span["text"] for span in json.loads(video.given_spans or "[]")]


@pytest.mark.parametrize("form", FORMS)
def test_a_published_list_is_known_by_its_columns(form: str, tmp_path: Path) -> None:
    file = publish(form, IDS, tmp_path)
    videos = listed(file)

    assert read_head(str(file), ListsConfig()).form == form
    assert [video.video_id for video in videos] == list(IDS)
    has_clips = form not in ("howto100m", "yt-temporal")
    assert [spans(video) for video in videos] == [SPANS if has_clips else []] * 3
    said = {"panda-70m": ["A man in a plaid shirt, walking.", 'The dog\'s "house" is é green.']}
    said |= {"internvid": ["caption 0", "caption 1"], "hd-vila": ["", ""]}
    assert [texts(video) for video in videos] == [said.get(form, [])] * 3


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "jsonl.gz", "csv.gz", "csv.zst", "parquet"])
def test_any_table_is_read_by_its_columns(kind: str, tmp_path: Path) -> None:
    rows = [{"yt": ADDRESS + i, "from": n + 0.5, "to": n + 4.25, "said": f"{i} {n}"} for n in (0, 10) for i in IDS]
    table, file = pa.Table.from_pylist(rows), tmp_path / f"clips.{kind}"
    if kind == "parquet":
        pq.write_table(table, file)
    elif "json" in kind:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        file.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    else:
        packing = {"gz": "gzip", "zst": "zstd"}.get(kind[4:])
        options = pa_csv.WriteOptions(delimiter="\t" if kind == "tsv" else ",")
        with pa.CompressedOutputStream(str(file), packing) if packing else file.open("wb") as out:
            pa_csv.write_csv(table, out, options)

    columns = {"url": "yt", "start": "from", "end": "to", "caption": "said"}
    videos = listed(file, ListsConfig(columns=columns))

    assert [video.video_id for video in videos] == list(IDS)
    assert [spans(video) for video in videos] == [[(0, 500, 4250), (1, 10_500, 14_250)]] * 3
    assert texts(videos[0]) == [f"{IDS[0]} 0", f"{IDS[0]} 10"]


def test_rows_of_a_video_are_joined_over_any_number_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"video{n:06}" for n in range(200)]
    file = publish("internvid", ids, tmp_path)
    whole = listed(file)
    monkeypatch.setattr(lists, "VIDEOS_A_PART", 20)
    first, cursor = list_part(str(file), ListsConfig(), 0)
    parts = listed(file)

    assert [video.video_id for video in whole] == ids and {len(spans(video)) for video in whole} == {2}
    assert 0 < len(first) < 60 and cursor < END
    assert sorted(parts, key=lambda video: video.position) == whole


def test_more_than_half_bad_rows_anywhere_in_a_list_are_one_message(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    good = [f"video{n:06}" for n in range(lists.HEAD_ROWS + 10)]
    file.write_text("\n".join(good + ["no id"] * (len(good) - 1)))
    assert len(listed(file)) == len(good) + 1
    file.write_text("\n".join(good + ["no id"] * (len(good) + 1)))
    with pytest.raises(UserError, match=r"ids\.txt: 5,011 of its 10,021 rows name no video"):
        listed(file)


def test_lines_as_people_write_them(tmp_path: Path) -> None:
    lines = [
        "\ufeff# mine", "-bcdefghij1", '"abcdefghij2"', "https://youtu.be/abcdefghij3?si=x", "", "'abcdefghij4',",
        "https://m.youtube.com/watch?v=abcdefghij5&list=PLx # why", "https://www.youtube.com/shorts/abcdefghij6",
        "https://music.youtube.com/live/Abcdefghij6", "youtube.com/watch?v=abcdefghij7", "abcdefghij2",
        "https://www.youtube.com/playlist?list=PLabcdefghijk", "nonsense",
    ]  # fmt: skip
    file = tmp_path / "ids.txt"
    file.write_bytes("\r\n".join(lines).encode())

    found = [video.video_id for video in listed(file)]

    assert [i for i in found if is_site_id(i)] == [
        "-bcdefghij1", "abcdefghij2", "abcdefghij3", "abcdefghij4", "abcdefghij5", "abcdefghij6", "Abcdefghij6",
        "abcdefghij7",
    ]  # fmt: skip
    assert [i for i in found if not is_site_id(i)] == [
        "https://www.youtube.com/playlist?list=PLabcdefghijk",
        "nonsense",
    ]


def test_texts_come_from_the_second_file_in_any_order(tmp_path: Path) -> None:
    file, second = publish("hd-vila", IDS, tmp_path), tmp_path / "texts.jsonl"
    rows = [{"clip_id": f"{i}.{n}.mp4", "text": f"{i} {n} – ü"} for n in (1, 0) for i in IDS[1:]]
    second.write_text("no json\n" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    found = listed(file, ListsConfig(texts=(str(second),)))

    assert [texts(video) for video in found] == [["", ""], *([f"{i} 0 – ü", f"{i} 1 – ü"] for i in IDS[1:])]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip,when,what\n1,2,3\n", "its columns are unknown. Its columns: clip, when, what. Say"),
        (f"title,watch\nx,{ADDRESS}{IDS[0]}\n", "The cells of 'watch' look like videos. Say which"),
        (written(["video_id", "split"], [["no id", "train"]] * 3 + [[IDS[0], "val"]] * 2), "read as yt-temporal, 3 of"),
    ],
)
def test_a_list_that_is_not_understood_is_one_message(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=r"odd\.csv: is not understood") as refused:
        read_head(str(file), ListsConfig())
    assert said in str(refused.value) and "crawl.lists.columns: {id: " in str(refused.value)


def test_a_table_without_names_of_its_columns_is_refused_until_somebody_names_them(tmp_path: Path) -> None:
    file = tmp_path / "vggsound.csv"
    file.write_text(f'{IDS[0]},30,"bells, pealing",test\n{IDS[1]},1,people marching,train\n')
    with pytest.raises(UserError, match=r"names no columns, so that they are called 'column 1'") as refused:
        read_head(str(file), ListsConfig())
    assert "crawl.lists.columns: {id: …, url: column 1," in str(refused.value)

    found = listed(file, ListsConfig(columns={"id": "column 1", "caption": "column 3"}))
    assert [video.video_id for video in found] == [*IDS[:2]] and texts(found[0]) == ["bells, pealing"]


def test_a_form_with_more_columns_goes_before_one_with_fewer() -> None:
    found = [form_of(names) for names in (["video_id"], ["video_id", "url", "clip"], ["x", "url"], ["x"])]
    assert [form and form.name for form in found] == ["yt-temporal", "hd-vila", "our own columns", None]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"no column 'videoURL', which crawl\.lists\.columns names"):
        read_head(str(tmp_path / "t.csv"), ListsConfig(columns={"url": "videoURL"}))


def test_media_elsewhere_and_the_site_s_videos_go_separate_ways(tmp_path: Path) -> None:
    file = tmp_path / "both.csv"
    file.write_text(webvid(["https://a.example/1.mp4", ADDRESS + IDS[0], "https://a.example/2.mp4"]))

    assert [video.video_id for video in listed(file)] == [IDS[0]]
    rows = list(media_rows(str(file), ListsConfig()))
    assert [(row["url"], row["id"]) for row in rows] == [
        ("https://a.example/1.mp4", "0"),
        ("https://a.example/2.mp4", "2"),
    ]
    assert rows[0]["caption"] == "Aerial shot winter forest" and rows[0]["page_dir"] == "006001_006050"


def test_a_video_of_the_site_is_not_taken_for_media_of_the_same_id(tmp_path: Path) -> None:
    file = tmp_path / "both.csv"
    file.write_text(f"id,url\n{IDS[0]},https://a.example/1.mp4\n{IDS[0]},{ADDRESS}{IDS[0]}\n")
    assert [video.video_id for video in listed(file)] == [IDS[0]]
    assert [row["url"] for row in media_rows(str(file), ListsConfig())] == ["https://a.example/1.mp4"]


def test_clips_of_media_elsewhere_are_joined_too(tmp_path: Path) -> None:
    file = tmp_path / "clips.jsonl"
    rows = [{"url": f"https://a.example/{i}", "start": n, "end": n + 2, "caption": n} for n in (0, 5) for i in "ab"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    made = list(media_rows(str(file), ListsConfig()))

    assert [row["url"] for row in made] == ["https://a.example/a", "https://a.example/b"]
    assert [[span["start_ms"] for span in json.loads(row["given_spans"])] for row in made] == [[0, 5000]] * 2


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_list_is_one_message_or_rejects(form: str, tmp_path: Path) -> None:
    """Twenty mutations of each form: every row is a video, a video again, or a line of its own that is rejected."""
    ids = [f"video{n:06}" for n in range(40)]
    whole = publish(form, ids, tmp_path)
    packed = whole.suffix == ".gz"
    content = gzip.decompress(whole.read_bytes()) if packed else whole.read_bytes()
    n_read = 0
    for number in range(20):
        changed = mutated(content, random.Random(f"{form} {number}"))
        whole.write_bytes(gzip.compress(changed) if packed and number % 2 else changed)
        try:
            found = listed(whole)
        except UserError as message:
            assert whole.name in str(message)
            continue
        n_read += 1
        names = [video.video_id for video in found]
        assert len(set(names)) == len(names), "nothing is asked twice"
        head = read_head(str(whole), ListsConfig())
        rows = [head.name(row) for row in read_rows(str(whole))]
        assert {name for name, of_site in rows if name and of_site} == {name for name in names if is_site_id(name)}
        n_nameless = sum(not name for name, _ in rows)
        n_listed = sum(not is_site_id(name) for name in names)
        assert (n_nameless > 0) == (n_listed > 0) and n_listed <= n_nameless + sum(not of_site for _, of_site in rows)
        for video in found:
            video.video_id.encode(), video.given_spans.encode(), spans(video)
    assert n_read > 5
