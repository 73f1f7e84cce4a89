"""What a world's channels, videos, clips and failures are drawn from: one TOML file, every key of which is here."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares are from 0 to 1. `mean` and `spread`: a log-normal's mean, and its logarithm's standard deviation."""

    name: str
    candidates_a_video: float
    """Candidates looked at for one that is kept: 4.242 rejects 76.4 % of them, 3.24 a video."""
    largest_category: float
    """Share of the videos that are of one category; the others share the rest equally."""
    in_category: float
    """Share of a search's results that are of the category searched for."""
    results_a_query: int
    from_queries: float
    """Share of the candidates that the configured queries can give; for the others the crawl lists channels."""
    channel_videos_mean: float
    """Of all videos of a channel, kept or not."""
    channel_videos_spread: float
    largest_channel: int
    """Kept videos of the largest channel, at most a twentieth of all."""
    clips_mean: float
    clips_spread: float
    clips_most: int
    clip_ms: int
    spoken: float
    """Share of a video that its clips cover."""
    deferred: float
    """Share of the candidates that are refused at first and kept or rejected when they are tried again."""
    rejected_clips: int
    """Clips of each video that the text filters reject."""
    rejected_transcripts: float
    rejected_media: float
    failed_clips: float
    repeated: float
    """Share of videos that are a second upload of another of their channel, in words and pictures."""
    clip_bytes: int
    """Of a finished sample: 512 MiB hold 165 of 3,253,713 bytes."""
    lost: float
    """Share of attempts whose worker dies."""
    straggling: float
    straggler_factor: float
    """How many times as long a straggler takes."""
    node_hours: float
    """Mean time between two losses of the same machine, hours."""
    slots_a_node: int
    latency_s: tuple[float, float]
    """Least and most that a request to the store takes, seconds."""
    restarts: int
    """How often the driver is killed and started again, at even distances."""
    loose_units: int
    """Of a store: units of each stage that no merge has taken up yet."""
    void_units: float
    """Of a store: share of merged units that were taken back and made again."""
    tombstones: int
    """Of a store: videos and channels that were asked to be left out."""

    @property
    def kept(self) -> float:
        """Share of the candidates that become videos."""
        return 1 / self.candidates_a_video


def read_distribution(name: str) -> Distribution:
    """The distribution of this name in this folder, or of a file. ValueError for keys that are missing or unknown."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    facts = {key: value for section in sections.values() for key, value in section.items()}
    wanted = {field.name for field in fields(Distribution)} - {"name"}
    if odd := sorted(wanted ^ facts.keys()):
        raise ValueError(f"{path}: keys missing or unknown: {', '.join(odd)}")
    facts["latency_s"] = tuple(facts["latency_s"])
    return Distribution(name=path.stem, **facts)
