"""The stages of a run, in a table: the order of `--redo`, the funnel, `status` and `retry` follow from it.

A stage is listed where its work begins: a changed setting touches a first stage and all stages that follow.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Again = Literal["round", "unit", "asked"]
"""How rejected videos are tried again: in a crawl round; as their unit, automatically when due; only on request."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """The facts about a stage, used wherever stages are listed.

    `made_by` is raised when the stage's output for the same input changes, other than by a setting. A run over an
    output directory made with another number is refused, suggests `--redo` and can continue with `--mix`.
    """

    name: str
    does: str
    sources: tuple[str, ...] = ()
    """The sources (`crawl.sources`) whose videos it lists."""
    asks: bool = False
    """Whether it may use the net."""
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    """The tables it writes rows in."""
    by_part_of: str = ""
    """The table of which each of its units processes a part: such a unit is done again with the part."""
    void_by: str = ""
    """The table where a row of a video shows that it passed the stage: a reject of the stage is void then."""
    files: tuple[str, ...] = ()
    """Single files at the top of the output directory."""
    aliases: tuple[str, ...] = ()
    """Names for parts of its work, used by settings and users."""
    again: Again = "asked"
    ends_after: str = ""
    """The stage after which it decides, if that is later than itself."""
    made_by: int = 1
    unit: str = "batch"
    """What one of its units is, in a word."""


TABLE = (
    StageFacts(
        "folder",
        "reads a folder of videos with their captions",
        sources=("folder",),
        makes=("videos", "captions"),
        void_by="videos",
        again="unit",
    ),
    StageFacts(
        "urls",
        "reads the lists' addresses of media elsewhere, with their captions",
        sources=("lists",),
        asks=True,
        makes=("videos", "captions", "transcripts"),
        void_by="videos",
        again="unit",
    ),
    StageFacts(
        "list",
        "asks searches, channels, playlists and lists which videos there are",
        sources=("search", "channel", "playlist", "lists"),
        asks=True,
        makes=("listings", "sources"),
        void_by="videos",
        unit="list",
    ),
    StageFacts(
        "choose",
        "chooses which listed videos to ask for",
        reads=("listings", "sources"),
        makes=("candidates",),
        void_by="videos",
        again="round",
        unit="round",
    ),
    StageFacts(
        "extract",
        "asks the site for a video's metadata and captions",
        asks=True,
        reads=("candidates",),
        makes=("videos", "captions", "transcripts"),
        void_by="videos",
        again="round",
    ),
    StageFacts(
        "recognise",
        "listens to a video without captions, for what is said in it",
        asks=True,
        reads=("videos",),
        makes=("heard", "captions"),
        void_by="packs",
        again="unit",
        unit="video",
    ),
    StageFacts(
        "transcripts",
        "reads caption tracks to words with times",
        reads=("videos", "captions"),
        makes=("transcripts",),
        by_part_of="captions",
        void_by="transcripts",
        again="unit",
        made_by=3,
    ),
    StageFacts(
        "clips",
        "splits transcripts into sentences and plans clips",
        reads=("videos", "transcripts"),
        makes=("clips",),
        by_part_of="transcripts",
        void_by="clips",
        aliases=("sentences", "align"),
        again="unit",
        made_by=7,
    ),
    StageFacts(
        "same_texts",
        "compares transcripts with those of all other videos",
        reads=("videos", "transcripts"),
        makes=("compared", "matches"),
        unit="step",
    ),
    StageFacts(
        "same_sentences",
        "compares sentences with all others of the channel",
        reads=("videos", "clips"),
        makes=("compared", "matches"),
        unit="step",
    ),
    StageFacts(
        "balance",
        "decides which videos to fetch, and which clips to keep",
        reads=("videos", "clips", "packs"),
        files=("selection.parquet", "balance.json"),
        ends_after="media",
        made_by=5,
    ),
    StageFacts(
        "media",
        "fetches, checks and cuts a video and makes the members of its clips",
        asks=True,
        reads=("videos", "transcripts", "clips", "heard"),
        makes=("packs", "stills"),
        void_by="packs",
        aliases=("fetch", "scenes", "cut", "members", "checks"),
        again="unit",
        made_by=16,
        unit="video",
    ),
    StageFacts(
        "same_pictures",
        "compares clips and videos with all others by what they show",
        reads=("packs",),
        makes=("compared", "matches"),
        unit="step",
        made_by=2,
    ),
    StageFacts("shards", "joins clips into shards", reads=("packs", "videos"), unit="shard"),
    StageFacts(
        "manifest",
        "lists the shards, with indexes and cards",
        files=("manifest.json", "manifest.parquet", "wids.json", "sizes.json"),
    ),
)

STAGES = {stage.name: stage for stage in TABLE}
ORDER = tuple(STAGES)
"""Names in the order in which stages begin: the order of `--redo`."""

MADE_BY = {stage.name: stage.made_by for stage in TABLE}


ROWS_SAID = {"packs": "clips tried", "clips": "clips planned", "listings": "results"}
"""What a row of a table is, where its name does not say it."""

TABLES_MADE = tuple(dict.fromkeys(table for stage in TABLE for table in stage.makes))


def _by_their_end() -> tuple[str, ...]:
    ends = {stage.name: (ORDER.index(stage.ends_after or stage.name), bool(stage.ends_after)) for stage in TABLE}
    return tuple(sorted(ORDER, key=lambda name: ends[name]))


ENDS = _by_their_end()
"""Names in the order in which stages decide: the order of the funnel and of a video's story."""


OTHERS = "__"
"""Stands in the name of a stage of another package: `clips__short` follows clips, `urls__rss` works like urls."""


def ours(name: str) -> str:
    """The stage of this table by whose facts a stage goes: itself, or the stage that another package's builds on."""
    return name.partition(OTHERS)[0]


def find_stage(name: str) -> StageFacts | None:
    """The stage with a name or alias; None if there is none."""
    name = ours(name)
    return STAGES.get(name) or next((stage for stage in TABLE if name in stage.aliases), None)


def n_units(n: int, stage: str = "") -> str:
    """A number of a stage's units in words: 1 video, 2 batches; of units in general without a stage."""
    facts = find_stage(stage)
    unit = facts.unit if facts else "unit"
    return f"{n:,} {unit}" if n == 1 else f"{n:,} {unit}{'es' if unit.endswith('ch') else 's'}"


def stages_void_by(table: str, among: Iterable[str]) -> list[str]:
    """Those of these stages that a video or clip with a row of this table has passed."""
    return [name for name in among if (stage := find_stage(name)) and stage.void_by == table]


def names_of(again: Again) -> tuple[str, ...]:
    """The stages whose rejected videos are tried again in this way."""
    return tuple(stage.name for stage in TABLE if stage.again == again)


def rank_of(name: str) -> int:
    """Rank of a stage among those that decide, from 0; unknown names come last."""
    return ENDS.index(ours(name)) if ours(name) in ENDS else len(ENDS)
