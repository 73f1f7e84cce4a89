"""The lists that other people publish, each by the names of its columns.

A form says which of a file's columns are ours. A new one is a line here: `init` then knows it by name too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.config.sources import COLUMNS


@dataclass(frozen=True, slots=True)
class Form:
    """`columns`: {our name: theirs}. `also`: what else its files have, to tell it from others."""

    name: str
    columns: Mapping[str, str]
    also: tuple[str, ...] = ()

    @property
    def theirs(self) -> tuple[str, ...]:
        """The columns by which its files are known."""
        return (*self.columns.values(), *self.also)

    def fits(self, names: Collection[str]) -> bool:
        """Whether a file with these columns has this form."""
        return all(name in names for name in self.theirs)


FORMS = (
    Form("howto100m", {"id": "video_id"}, ("category_1", "category_2", "rank", "task_id")),
    Form("panda-70m", {"id": "videoID", "url": "url", "clips": "timestamp", "caption": "caption"}),
    Form("internvid", {"id": "YoutubeID", "start": "Start_timestamp", "end": "End_timestamp", "caption": "Caption"}),
    Form("hd-vila", {"id": "video_id", "url": "url", "clips": "clip"}),
    Form("webvid", {"id": "videoid", "url": "contentUrl", "caption": "name"}, ("page_dir",)),
    Form("yt-temporal", {"id": "video_id"}),
)
"""Those with more columns first: HD-VILA-100M's files have YT-Temporal's only column too.

HD-VILA-100M, YT-Temporal (-180M, JSON Lines; -1B, a CSV of one column) and HowTo100M have a row a video, and so has
Panda-70M, whose lists are written as Python prints them; of InternVid's files each row is a clip.
"""


def form_of(names: Collection[str]) -> Form | None:
    """The published form with these columns, or our own; None if there is none."""
    own = {name: name for name in COLUMNS if name in names}
    found = next((form for form in FORMS if form.fits(names)), None)
    return found or (Form("our own columns", own) if "url" in own or "id" in own else None)
