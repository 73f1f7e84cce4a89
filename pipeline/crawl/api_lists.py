"""Channels and playlists listed by YouTube's Data API: 50 results for a unit, and no request to the site.

Only ids are kept of what it tells: titles and lengths come with the look at a video. A channel's uploads hold its
Shorts and streams too, which its page of videos leaves out.
"""

from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.sources import Ask, Listed
from pipeline.crawl.sources.site_lists import api_channel, playlist_id
from pipeline.site.data_api import DataApi, Json, NoSuchList, NotNow, PoliteApi

BY_API = ("channel", "playlist")
"""The sources that it lists."""
MOST_BARREN_PAGES = 3
"""Pages in a row whose items all lack an id: a list of such, which may have no end, ends there."""


def list_by_api(ask: Ask, config: CrawlConfig, polite: PoliteApi) -> tuple[list[Listed], bool] | None:
    """The results of a list and whether it is at its end; None if the API can't list it now: the site may.

    Raises StopRun if the key is refused.
    """
    if not config.data_api.key or ask.source not in BY_API:
        return None
    channel = api_channel(ask.query) if ask.source == "channel" else None
    if ask.source == "channel" and channel is None:
        return None
    try:
        with DataApi(config, polite) as api:
            return _pages(api, api.uploads(channel) if channel else playlist_id(ask.query), ask.up_to)
    except (NotNow, NoSuchList):
        return None


def _pages(api: DataApi, playlist: str, up_to: int) -> tuple[list[Listed], bool]:
    results: list[Listed] = []
    token, n_barren = "", 0
    while len(results) < up_to:
        items, token = api.playlist_page(playlist, token)
        found = [one for n, item in enumerate(items) if (one := _listed(item, len(results) + n))]
        results += found
        n_barren = 0 if found else n_barren + 1
        if not token or n_barren == MOST_BARREN_PAGES:
            return results[:up_to], len(results) <= up_to
    return results[:up_to], False


def _listed(item: Json, position: int) -> Listed | None:
    """An item of a playlist; None for one without an id."""
    details, snippet = item.get("contentDetails"), item.get("snippet")
    video_id = details.get("videoId") if isinstance(details, dict) else None
    channel_id = snippet.get("videoOwnerChannelId") if isinstance(snippet, dict) else None
    if not isinstance(video_id, str):
        return None
    return Listed(video_id, position, channel_id=channel_id if isinstance(channel_id, str) else "")
