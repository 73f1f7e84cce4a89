"""`hdvila-pipeline init`: a commented configuration to start from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from manifests.commands import no_start, write_start


class Start(StrEnum):
    """What a run starts from: a crawl, a folder, a list of one's own, or one that is published."""

    CRAWL = "crawl"
    FOLDER = "folder"
    LIST = "list"
    HOWTO100M = "howto100m"
    YT_TEMPORAL = "yt-temporal"
    PANDA_70M = "panda-70m"
    INTERNVID = "internvid"
    HD_VILA = "hd-vila"
    WEBVID = "webvid"


_HEAD = """# {what}
#
#   hdvila-pipeline doctor {file}           what this machine lacks
#   hdvila-pipeline run {file} --dry-run    what it would do, and the cost
#   hdvila-pipeline run {file}              stop and restart it whenever you like
#
# Every key with its meaning: hdvila-pipeline config
out: {out}                 # a folder, or s3://bucket/prefix
name: {name}
seed: 24                   # the same seed and the same answers of the site give the same data set
"""

_PARTS = {
    Start.CRAWL: """
crawl:
  sources: [search, channel]   # the search words are built in, a list for each category
  identities:                  # who asks: one line per address; proxy and cookies are secrets and never logged
    - {name: here, videos_per_hour: 150}
  # data_api: {key_file: key.txt}   # a key of YouTube's Data API: most of what is rejected then costs no look
  limits:
    licences: []               # licences to accept; empty: any

balance:
  policy: equal                # equal | hd-vila | weights
  unit: hours                  # hours | clips | videos
  total: 100
""",
    Start.FOLDER: """
crawl:
  sources: [folder]

folder:
  path: videos                 # NAME.mp4 with NAME.en.vtt and, if there is one, NAME.info.json
  category_from: info          # info | folder | mapping
""",
    Start.LIST: """
crawl:
  sources: [lists]
  lists:
    files: [list.txt]          # an id or address of YouTube, or of a media file, a line; or .csv .tsv .jsonl .parquet
    # columns: {url: videoURL, start: begin, end: stop, caption: text}   # what a table calls ours, if not so
  # of media files, say in a section media_urls what their addresses begin with: allow: [s3://mine/]
  identities:
    - {name: here, videos_per_hour: 150}
""",
}

_PUBLISHED = {
    Start.HOWTO100M: ("HowTo100M_v1.csv", "videos; their clips are the sentences of their captions"),
    Start.YT_TEMPORAL: ("yttemporal1b_ids_train.csv", "videos; their clips are the sentences of their captions"),
    Start.PANDA_70M: ("panda70m_training_2m.csv", "clips with captions"),
    Start.INTERNVID: ("InternVid-10M-flt.jsonl", "clips with captions, a row each"),
    Start.HD_VILA: ("hdvila_part0.jsonl", "clips; their texts are the captions inside them"),
    Start.WEBVID: ("results_10M_train.csv", "addresses of media files with a caption each"),
}
"""A published list's file, and what it names."""

_LIST = """
crawl:
  sources: [lists]
  lists:
    files: [{file}]   # {names}
"""
_ELSEWHERE = """
media_urls:
  allow: [s3://mine/]          # what the addresses in the list begin with: nothing else is asked for
"""
_OF_THE_SITE = """  identities:
    - {name: here, videos_per_hour: 150}
  # data_api: {key_file: key.txt}   # a key of YouTube's Data API: most of what is rejected then costs no look
"""
_WITH_TEXTS = """    # transcripts: true        # fetch the words said too, beside the list's captions
  limits: {languages: [], min_duration_s: 0}   # the list has chosen
"""
_TEXTS = """    # texts: [texts.jsonl]     # {clip_id, text} a line, if you have the clips' texts
"""


_TAIL = """
shards:
  split: {by: channel, val: 0.02}
  card:
    title: Sentence clips with 720p video
    contact: ""                # where a rights holder can ask for removal: an address that somebody reads

engine:
  ray_address: ""              # empty: this machine; auto or HOST:6379: a cluster
"""

_WHAT = {
    Start.CRAWL: "A crawl of YouTube over the 15 categories.",
    Start.FOLDER: "Videos that are already in a folder.",
    Start.LIST: "A list of videos, clips or addresses.",
}


_ALSO = {
    **dict.fromkeys(("youtube", "search", "channel", "site"), Start.CRAWL),
    **dict.fromkeys(("urls", "url", "lists", "ids", "id", "addresses", "table", "csv", "playlist"), Start.LIST),
    **dict.fromkeys(("videos", "files", "films", "local", "directory", "dir"), Start.FOLDER),
}
"""Other words for the same starts."""


def starter(start: Start, file: str, out: str) -> str:
    """The starting configuration, YAML with comments."""
    what = _WHAT.get(start, f"A published list: {start}.")
    head = _HEAD.format(what=what, file=file, out=out, name=f"hdvila-{start}")
    return head + (_PARTS.get(start) or _published(start)) + _TAIL


def _published(start: Start) -> str:
    file, names = _PUBLISHED[start]
    more = {Start.PANDA_70M: _WITH_TEXTS, Start.INTERNVID: _WITH_TEXTS, Start.HD_VILA: _TEXTS}.get(start, "")
    return _LIST.format(file=file, names=names) + more + (_ELSEWHERE if start is Start.WEBVID else _OF_THE_SITE)


def start_of(word: str) -> Start:
    """The start that a word names. typer.BadParameter, with the nearest one, if it names none."""
    if word in [*Start]:
        return Start(word)
    raise no_start(word, list(Start), _ALSO.get(word, ""))


def init(
    start: Annotated[
        Start, typer.Argument(help="What the run starts from.", parser=start_of, metavar="|".join(Start))
    ] = Start.CRAWL,
    file: Annotated[
        Path, typer.Option("--out", help="The file to write; an existing file is never overwritten.")
    ] = Path("run.yaml"),
) -> None:
    """Writes a commented YAML to start from: a crawl, a folder of videos, or a list of one's own or as published."""
    write_start(file, starter(start, str(file), f"out/{start}"), "hdvila-pipeline doctor")
