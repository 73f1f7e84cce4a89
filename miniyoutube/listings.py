"""The site's JSON of lists: search results, playlists and channels, page by page, as yt-dlp's extractors read them."""

from collections.abc import Sequence

from miniyoutube.answers import Json
from miniyoutube.catalogue import Catalogue, Channel, Playlist, Video, stable_hash
from miniyoutube.innertube import channel_run


def search_page(videos: Sequence[Video], next_token: str, first: bool) -> Json:
    """A page of search results; it has both kinds of item that the site mixes, and an advertisement."""
    items = [list_item(video) for video in videos]
    contents: list[Json] = [{"itemSectionRenderer": {"contents": [*items, {"adSlotRenderer": {}}]}}]
    contents += _continuation(next_token)
    if not first:
        action = {"appendContinuationItemsAction": {"continuationItems": contents}}
        return {"onResponseReceivedCommands": [action]}
    section = {"sectionListRenderer": {"contents": contents}}
    return {"contents": {"twoColumnSearchResultsRenderer": {"primaryContents": section}}}


def unknown_layout_page() -> Json:
    """A page in a layout that no extractor knows: it looks like a query without hits."""
    item: Json = {"itemSectionRenderer": {"contents": [{"tileViewModel": {}}]}}
    section = {"sectionListRenderer": {"contents": [item]}}
    return {"contents": {"twoColumnSearchResultsRenderer": {"primaryContents": section}}}


def playlist_page(playlist: Playlist, videos: Sequence[Video], next_token: str) -> Json:
    """The first page of a playlist."""
    items = [{"playlistVideoRenderer": _video_renderer(video)} for video in videos] + _continuation(next_token)
    inner = {"itemSectionRenderer": {"contents": [{"playlistVideoListRenderer": {"contents": items}}]}}
    tab = {"tabRenderer": {"selected": True, "content": {"sectionListRenderer": {"contents": [inner]}}}}
    return {
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": [tab]}},
        "metadata": {"playlistMetadataRenderer": {"title": playlist.title}},
        "header": {
            "playlistHeaderRenderer": {"privacy": "PUBLIC", "ownerText": {"runs": [channel_run(playlist.channel)]}}
        },
    }


def channel_page(channel: Channel, videos: Sequence[Video], next_token: str) -> Json:
    """The first page of a channel's Videos tab."""
    items = [{"richItemRenderer": {"content": list_item(video)}} for video in videos] + _continuation(next_token)
    tab = {
        "tabRenderer": {
            "selected": True,
            "title": "Videos",
            "endpoint": {"commandMetadata": {"webCommandMetadata": {"url": f"/{channel.handle}/videos"}}},
            "content": {"richGridRenderer": {"contents": items}},
        }
    }
    return {
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": [tab]}},
        "metadata": {
            "channelMetadataRenderer": {
                "title": channel.name,
                "externalId": channel.channel_id,
                "vanityChannelUrl": f"http://www.youtube.com/{channel.handle}",
            }
        },
    }


def more_of_list(videos: Sequence[Video], next_token: str, is_channel: bool) -> Json:
    """A further page of a channel or playlist."""
    if is_channel:
        items: list[Json] = [{"richItemRenderer": {"content": list_item(video)}} for video in videos]
    else:
        items = [{"playlistVideoRenderer": _video_renderer(video)} for video in videos]
    action = {"appendContinuationItemsAction": {"continuationItems": items + _continuation(next_token)}}
    return {"onResponseReceivedActions": [action]}


def missing_list() -> Json:
    """The site's answer for a list that isn't there."""
    alert = {"type": "ERROR", "text": {"simpleText": "The playlist does not exist."}}
    return {"alerts": [{"alertRenderer": alert}]}


def list_item(video: Video) -> Json:
    """An item of a search or channel page: mostly the older renderer, for one video in three the newer view model."""
    if stable_hash("item", video.video_id) % 3 or video.live or video.members_only or video.listed_as:
        return {"videoRenderer": _video_renderer(video)}
    return {"lockupViewModel": _lockup(video)}


def _continuation(token: str) -> list[Json]:
    if not token:
        return []
    return [{"continuationItemRenderer": {"continuationEndpoint": {"continuationCommand": {"token": token}}}}]


def _video_renderer(video: Video) -> Json:
    if video.listed_as:
        return {"videoId": video.video_id, "title": {"runs": [{"text": video.listed_as}]}}
    by = {"runs": [channel_run(video.channel)]}
    item: Json = {
        "videoId": video.video_id,
        "title": {"runs": [{"text": video.title}]},
        "ownerText": by,
        "shortBylineText": by,
        "viewCountText": {"simpleText": f"{video.view_count:,} views"},
    }
    if video.live == "is_live":
        item["badges"] = [{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_LIVE_NOW", "label": "LIVE"}}]
    elif video.live == "is_upcoming":
        item["upcomingEventData"] = {"startTime": "4102444800"}
    else:
        item["lengthText"] = {"simpleText": _clock(video.duration_s)}
    if video.members_only:
        item["badges"] = [{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_MEMBERS_ONLY"}}]
    return item


def _lockup(video: Video) -> Json:
    endpoint = {"browseId": video.channel.channel_id, "canonicalBaseUrl": f"/{video.channel.handle}"}
    by = {"content": video.channel.name, "commandRuns": [{"onTap": {"innertubeCommand": {"browseEndpoint": endpoint}}}]}
    badge = {
        "thumbnailBadgeViewModel": {
            "text": _clock(video.duration_s),
            "badgeStyle": "THUMBNAIL_OVERLAY_BADGE_STYLE_DEFAULT",
        }
    }
    views = {"text": {"content": f"{video.view_count} views"}}
    age = {"text": {"content": "1 year ago"}, "accessibilityLabel": "1 year ago"}
    rows = [{"metadataParts": [{"text": by}]}, {"metadataParts": [views, age], "accessibilityLabel": "views"}]
    return {
        "contentId": video.video_id,
        "contentType": "LOCKUP_CONTENT_TYPE_VIDEO",
        "contentImage": {
            "thumbnailViewModel": {"overlays": [{"thumbnailBottomOverlayViewModel": {"badges": [badge]}}]}
        },
        "metadata": {
            "lockupMetadataViewModel": {
                "title": {"content": video.title},
                "metadata": {"contentMetadataViewModel": {"metadataRows": rows}},
            }
        },
    }


def _clock(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def resolved(catalogue: Catalogue, url_path: str, list_id: str) -> Json:
    """The answer of `navigation/resolve_url` for a channel or playlist URL."""
    if list_id:
        return {"endpoint": {"browseEndpoint": {"browseId": f"VL{list_id}"}}}
    name = url_path.strip("/").removeprefix("channel/").split("/")[0]
    channel = catalogue.channels.get(name if name.startswith("UC") else name.lower())
    return (
        {"endpoint": {"browseEndpoint": {"browseId": channel.channel_id, "params": "EgZ2aWRlb3PyBgQKAjoA"}}}
        if channel
        else {}
    )
