"""`hdvila-pipeline init`: a commented configuration to start from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Start(StrEnum):
    """What a run starts from."""

    CRAWL = "crawl"
    FOLDER = "folder"
    URLS = "urls"


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
  limits:
    licences: []               # licences to accept; empty: any

balance:
  policy: equal                # equal | hd-vila | weights
  unit: hours                  # hours | clips
  total: 100
""",
    Start.FOLDER: """
crawl:
  sources: [folder]

folder:
  path: videos                 # NAME.mp4 with NAME.en.vtt and, if there is one, NAME.info.json
  category_from: info          # info | folder | mapping
""",
    Start.URLS: """
crawl:
  sources: [ids]
  ids_files: [urls.txt]        # one YouTube id or watch address per line
  identities:
    - {name: here, videos_per_hour: 150}

# For a table (CSV, TSV, Parquet, JSON Lines) of addresses of media files, as video2dataset reads them, write instead of
# the above:
# crawl: {sources: [urls]}
# urls: {files: [videos.csv], columns: {url: url, caption: caption}}
""",
}

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
    Start.URLS: "A list of video addresses.",
}


def starter(start: Start, file: str, out: str) -> str:
    """The starting configuration, YAML with comments."""
    head = _HEAD.format(what=_WHAT[start], file=file, out=out, name=f"hdvila-{start}")
    return head + _PARTS[start] + _TAIL


def init(
    start: Annotated[Start, typer.Argument(help="What the run starts from.")] = Start.CRAWL,
    file: Annotated[
        Path, typer.Option("--out", help="The file to write; an existing file is never overwritten.")
    ] = Path("run.yaml"),
) -> None:
    """Writes a commented YAML to start from: a crawl, a folder of videos, or a list of addresses."""
    from manifests.errors import UserError

    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(starter(start, str(file), f"out/{start}"))
    except FileExistsError:
        raise UserError(f"{file}: exists already; name another with --out") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); name another with --out") from None
    print(f"{file}: read it through, then: hdvila-pipeline doctor {file}")
