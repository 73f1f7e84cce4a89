"""Where videos come from: each source is a function from an `Ask` to rows of listings, lazily paged.

search channel playlist    asked of the site through yt-dlp (`site_lists`: where)
lists                      read from files of ids, addresses or clips; addresses elsewhere have a stage of their own
folder                     videos on a disk (a stage of its own)
"""

from dataclasses import dataclass

LISTS = "lists"
GROWN = "grown"
SEARCHES = ("search", GROWN)
"""For words that people configured, and for those that a crawl grew from kept videos (`pipeline/crawl/grown.py`)."""
NO_RESULT = "no result at all: the words have no hits, or yt-dlp no longer knows the page"
"""What `sources` says of a search that found nothing: an unknown layout looks just like a query without hits."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A listing to make. `cursor` is the hash where a file's next part begins; the site's lists start at page one."""

    source: str
    query: str  # words, number of a grown search, channel, playlist or file
    wanted_category_id: int  # -1: any
    up_to: int  # results wanted, counted from the first
    cursor: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """One result of a listing. Unknown facts are "" / -1 / 0.0."""

    video_id: str
    position: int
    title: str = ""
    channel_id: str = ""
    duration_s: float = 0.0
    view_count: int = -1
    live_status: str = ""
    availability: str = ""
    starts_at: int = 0  # seconds since 1970
    given_spans: str = ""
