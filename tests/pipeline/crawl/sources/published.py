"""Heads of the lists that other people publish, in their files' own form, of any videos."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

FORMS = ("howto100m", "yt-temporal", "panda-70m", "internvid", "hd-vila")
"""By the names that `init` has for them."""
ADDRESS = "https://www.youtube.com/watch?v="


def howto100m(ids: Sequence[str]) -> str:
    rows = [[i, "Food and Entertaining", "Recipes", n + 1, 52907] for n, i in enumerate(ids)]
    return written(["video_id", "category_1", "category_2", "rank", "task_id"], rows)


def yt_temporal(ids: Sequence[str]) -> str:
    return "".join(json.dumps({"video_id": i, "split": "train"}) + "\n" for i in ids)


def panda_70m(ids: Sequence[str]) -> str:
    spans = [["0:00:01.043", "0:00:05.440"], ["0:00:06.100", "0:00:08.833"]]
    said = ["A man in a plaid shirt, walking.", 'The dog\'s "house" is é green.']
    kept = [["desirable", "desirable"], [2, 3], [0.453857421875, 0.44873046875]]
    rows = [[i, ADDRESS + i, spans, said, kept[2], kept[0], kept[1]] for i in ids]
    names = [
        "videoID",
        "url",
        "timestamp",
        "caption",
        "matching_score",
        "desirable_filtering",
        "shot_boundary_detection",
    ]
    return written(names, rows)


def internvid(ids: Sequence[str]) -> str:
    """Two clips a video, those of a video not next to each other."""
    lines = []
    for n, times in enumerate((("00:00:01.043", "00:00:05.440"), ("00:00:06.100", "00:00:08.833"))):
        for i in ids:
            row = {"YoutubeID": i, "Start_timestamp": times[0], "End_timestamp": times[1]}
            row |= {"Caption": f"caption {n}", "Aesthetic_Score": 4.3, "UMT_Score": 0.41}  # type: ignore[dict-item]
            lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def hd_vila(ids: Sequence[str]) -> str:
    lines = []
    for i in ids:
        spans = (["00:00:01.043", "00:00:05.440"], ["00:00:06.100", "00:00:08.833"])
        clips = [{"clip_id": f"{i}.{n}.mp4", "span": span} for n, span in enumerate(spans)]
        lines.append(json.dumps({"video_id": i, "url": ADDRESS + i, "clip": clips}) + "\n")
    return "".join(lines)


def webvid(addresses: Sequence[str]) -> str:
    rows = [[n, url, "PT00H00M11S", "006001_006050", "Aerial shot winter forest"] for n, url in enumerate(addresses)]
    return written(["videoid", "contentUrl", "duration", "page_dir", "name"], rows)


def written(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A CSV; a list in a cell is written as Python prints it."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([names, *rows])
    return file.getvalue()


def publish(form: str, ids: Sequence[str], folder: Path) -> Path:
    """The file of a form, with its usual suffix."""
    texts = {
        "howto100m": ("HowTo100M_v1.csv", howto100m),
        "yt-temporal": ("yttemporal180m_ids.jsonl.gz", yt_temporal),
        "panda-70m": ("panda70m_training_2m.csv", panda_70m),
        "internvid": ("InternVid-10M-flt.jsonl", internvid),
        "hd-vila": ("hdvila_part0.jsonl", hd_vila),
    }
    name, write = texts[form]
    path, text = folder / name, write(ids).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path
