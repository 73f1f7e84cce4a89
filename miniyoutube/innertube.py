"""The site's JSON of one video: the player's answer and the watch page's data, as yt-dlp's extractors read them.

It contains only what an extractor needs. Three things are as on the site because omitting them would hide bugs:
`microformat` (with the category) comes only with the watch page's own player answer and for web clients; formats in the
watch page are ignored; and `translationLanguages` come only with the watch page.
"""

import hashlib
from typing import Any
from urllib.parse import urlencode

from manifests.categories import category_name
from miniyoutube.answers import Json
from miniyoutube.catalogue import Channel, Track, Video, stable_hash
from miniyoutube.media_cache import Rendition

SIGNATURE_MARK = "SIGNEDBYMINIYOUTUBE"
"""Part of every signed URL, so that a test can prove that none of them was stored."""

UNSOLVED = "unsolved"
"""How a challenge begins; the player's script solves it by writing it backwards."""

WEB_CLIENTS = frozenset({"WEB", "MWEB", "WEB_EMBEDDED_PLAYER"})
_TRANSLATIONS = (("en", "English"), ("es", "Spanish"), ("de", "German"), ("fr", "French"))

REFUSALS: dict[str, Json] = {
    "private": {
        "status": "LOGIN_REQUIRED",
        "reason": "Private video",
        "subreason": "Sign in if you've been granted access to this video",
    },
    "removed": {
        "status": "ERROR",
        "reason": "Video unavailable",
        "subreason": "This video has been removed by the uploader",
    },
    "terminated": {
        "status": "ERROR",
        "reason": "Video unavailable",
        "subreason": "This video is no longer available because the YouTube account associated with this video "
        "has been terminated.",
    },
    "copyright": {
        "status": "ERROR",
        "reason": "Video unavailable",
        "subreason": "This video contains content from Mini Pictures, who has blocked it on copyright grounds",
    },
    "not_available": {"status": "ERROR", "reason": "Video unavailable", "subreason": "This video is not available"},
    "kids_client": {"status": "UNPLAYABLE", "reason": "Video unavailable", "subreason": "This video is not available"},
    "age": {
        "status": "LOGIN_REQUIRED",
        "reason": "Sign in to confirm your age",
        "subreason": "This video may be inappropriate for some users.",
        "desktopLegacyAgeGateReason": 1,
    },
    "geo": {
        "status": "UNPLAYABLE",
        "reason": "Video unavailable",
        "subreason": "The uploader has not made this video available in your country",
    },
    "geo_copyright": {
        "status": "UNPLAYABLE",
        "reason": "Video unavailable",
        "subreason": "This video contains content from Mini Pictures, who has blocked it in your country on copyright "
        "grounds",
    },
    "legal": {
        "status": "ERROR",
        "reason": "Video unavailable",
        "subreason": "This content is not available on this country domain due to a legal complaint from the "
        "government.",
    },
    "members": {
        "status": "UNPLAYABLE",
        "reason": "Join this channel to get access to members-only content like this video, and other exclusive perks.",
    },
    "payment": {"status": "UNPLAYABLE", "reason": "This video requires payment to watch"},
    "bot_check": {
        "status": "LOGIN_REQUIRED",
        "reason": "Sign in to confirm you’re not a bot",
        "subreason": "This helps protect our community. Learn more",
    },
    "session_limit": {
        "status": "UNPLAYABLE",
        "reason": "Video unavailable",
        "subreason": "This content isn't available, try again later.",
    },
    "captcha": {"status": "UNPLAYABLE", "reason": "Video unavailable", "captcha": True},
    "sign_in": {"status": "LOGIN_REQUIRED", "reason": "Please sign in"},
    "unheard_of": {"status": "UNPLAYABLE", "reason": "The curtain has fallen on this programme."},
    "restricted": {
        "status": "UNPLAYABLE",
        "reason": "Video unavailable",
        "subreason": "This video is restricted. Please check the Google Workspace administrator and/or the network "
        "administrator restrictions.",
    },
    "upcoming": {"status": "LIVE_STREAM_OFFLINE", "reason": "Premieres in 10 hours"},
}
"""The player's refusals, by the name of a fault's effect."""


def refusal(video_id: str, name: str) -> Json:
    """Makes a player's answer that refuses as `REFUSALS` say."""
    said = REFUSALS[name]
    message = {key: {"simpleText": said[key]} for key in ("reason", "subreason") if key in said}
    screen: Json = {"playerErrorMessageRenderer": message}
    if said.get("captcha"):
        screen["playerCaptchaViewModel"] = {"title": "captcha"}
    status: Json = {"status": said["status"], "reason": said["reason"], "errorScreen": screen}
    if "desktopLegacyAgeGateReason" in said:
        status["desktopLegacyAgeGateReason"] = said["desktopLegacyAgeGateReason"]
    return {"playabilityStatus": status, "videoDetails": {"videoId": video_id}}


def player_response(video: Video, *, generation: int, identity: str, client: str, sizes: dict[Rendition, int]) -> Json:
    """Makes the player's answer for a video that plays. `sizes` are the bytes of the files already drawn."""
    details = video_details(video)
    answer: Json = {"playabilityStatus": {"status": "OK"}, "videoDetails": details}
    if video.tracks:
        tracks = [_caption_track(video, track) for track in video.tracks]
        answer["captions"] = {"playerCaptionsTracklistRenderer": {"captionTracks": tracks}}
    if client in WEB_CLIENTS:
        answer["microformat"] = {"playerMicroformatRenderer": microformat(video)}
    answer["streamingData"] = streaming_data(video, generation, identity, client, sizes)
    return answer


def video_details(video: Video) -> Json:
    """Makes `videoDetails` of a player's answer."""
    live = video.live.startswith("is_live") or video.live == "premiere"
    details: Json = {
        "videoId": video.video_id,
        "title": video.title,
        "lengthSeconds": "0" if live else str(video.duration_s),
        "channelId": video.channel.channel_id,
        "author": video.channel.name,
        "isLiveContent": video.live not in ("", "premiere"),
        "keywords": list(video.keywords),
        "shortDescription": "\n".join([f"{video.title}. Drawn by a program.", *_chapters(video)]),
        "viewCount": str(video.view_count),
        "isPrivate": False,
    }
    if live:
        details["isLive"] = True
    if video.live == "post_live":
        details["isPostLiveDvr"] = True
    if not video.tells_length:
        del details["lengthSeconds"]
    if video.live == "is_upcoming":
        details["isUpcoming"] = True
    return details


def _chapters(video: Video) -> list[str]:
    """Lines of a description that make its chapters, two seconds each."""
    return [f"0:{2 * n:02} {title}" for n, title in enumerate(video.chapters)]


def microformat(video: Video) -> Json:
    """Makes `playerMicroformatRenderer`: the only part that names the category."""
    return {
        "category": category_name(video.category_id),
        "uploadDate": f"{video.upload_date}T08:00:00-07:00",
        "publishDate": f"{video.upload_date}T08:00:00-07:00",
        "isFamilySafe": video.family_safe,
        "isUnlisted": False,
        "ownerProfileUrl": f"http://www.youtube.com/{video.channel.handle}",
        "externalChannelId": video.channel.channel_id,
        "availableCountries": ["AT", "CH", "DE"],
        "viewCount": str(video.view_count),
    }


def watch_player_response(video: Video) -> Json:
    """The player's answer in the watch page: metadata, the list of translations, and formats without URLs."""
    answer: Json = {
        "playabilityStatus": {"status": "OK"},
        "videoDetails": video_details(video),
        "microformat": {"playerMicroformatRenderer": microformat(video)},
    }
    if video.made_for_kids:
        answer["videoDetails"]["isMadeForKids"] = True
    formats = streaming_data(video, 1, "", "WEB", {})
    for stream in formats["formats"] + formats["adaptiveFormats"]:
        del stream["url"]  # yt-dlp ignores formats without URLs; their sizes are still listed
    answer["streamingData"] = formats
    if video.tracks:
        languages = [{"languageCode": code, "languageName": {"simpleText": name}} for code, name in _TRANSLATIONS]
        answer["captions"] = {"playerCaptionsTracklistRenderer": {"translationLanguages": languages}}
    return answer


def watch_data(video: Video) -> Json:
    """Makes `ytInitialData` of the watch page, the same as the answer of `next`: channel and licence."""
    rows = []
    if video.license:
        row = {"title": {"simpleText": "License"}, "contents": [{"runs": [{"text": video.license}]}]}
        rows.append({"metadataRowRenderer": row})
    secondary = {
        "owner": {"videoOwnerRenderer": {"title": {"runs": [channel_run(video.channel)]}}},
        "metadataRowContainer": {"metadataRowContainerRenderer": {"rows": rows}},
    }
    contents = [{"videoPrimaryInfoRenderer": {}}, {"videoSecondaryInfoRenderer": secondary}]
    return {"contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": contents}}}}}


def channel_run(channel: Channel) -> Json:
    """A channel's name as a text run that links to its page."""
    endpoint = {"browseEndpoint": {"browseId": channel.channel_id, "canonicalBaseUrl": f"/{channel.handle}"}}
    return {"text": channel.name, "navigationEndpoint": endpoint}


def streaming_data(video: Video, generation: int, identity: str, client: str, sizes: dict[Rendition, int]) -> Json:
    """The formats: adaptive video of each size, audio (of each dub), and the joint 360p file."""

    def stream(itag: int, rendition: Rendition, mime: str, **facts: Any) -> Json:
        address = media_url(video.video_id, itag, generation, identity, rendition.voice)
        made: Json = {"itag": itag, "url": address, "mimeType": mime, **facts}
        if video.tells_length:
            made["approxDurationMs"] = str(video.script.duration_ms)
        if rendition in sizes:
            n_bytes = served_bytes(video, rendition, sizes[rendition])
            made |= {"contentLength": str(n_bytes), "bitrate": n_bytes * 8000 // video.script.duration_ms}
        if video.live.startswith("is_live") or video.live == "premiere":
            made["targetDurationSec"] = 5.0
        return made

    adaptive = []
    for short_side in video.renditions:
        picture = video.picture(short_side)
        size = {"width": picture.width, "height": picture.height, "fps": 12, "qualityLabel": f"{short_side}p"}
        mime = 'video/mp4; codecs="avc1.4d401f"'
        adaptive.append(stream(_PICTURE_ITAGS[short_side], picture, mime, **size, quality=_QUALITIES[short_side]))
    if video.has_audio:
        for voice in video.dubs or ("",):
            audio: Json = {"audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": "22050", "audioChannels": 1}
            if voice:
                audio["audioTrack"] = _audio_track(voice, voice == video.dubs[0])
            adaptive.append(stream(140, video.audio(voice), 'audio/mp4; codecs="mp4a.40.2"', **audio))
    joint = []
    if video.progressive:
        rendition = video.joint()
        size = {
            "width": rendition.width,
            "height": rendition.height,
            "fps": 12,
            "qualityLabel": "360p",
            "quality": "medium",
        }
        joint.append(stream(18, rendition, 'video/mp4; codecs="avc1.42001E, mp4a.40.2"', **size))
    return {"formats": joint, "adaptiveFormats": adaptive}


_PICTURE_ITAGS = {1080: 137, 720: 136, 480: 135, 360: 134}
_QUALITIES = {1080: "hd1080", 720: "hd720", 480: "large", 360: "medium"}


def rendition_of(video: Video, itag: str, voice: str) -> Rendition | None:
    """The file behind a media URL; None for a file that the video doesn't have."""
    if itag == "18":
        return video.joint() if video.progressive else None
    if itag == "140":
        return video.audio(voice) if video.has_audio and voice in (video.dubs or ("",)) else None
    return next((video.picture(s) for s in video.renditions if str(_PICTURE_ITAGS[s]) == itag), None)


def served_bytes(video: Video, rendition: Rendition, file_bytes: int) -> int:
    """The size that the site gives for a file: half of it for a stream that ends early."""
    return file_bytes // 2 if rendition.kind in video.short_streams else file_bytes


def media_url(video_id: str, itag: int, generation: int, identity: str, voice: str) -> str:
    """A signed media URL. It names its extraction and the identity that it is bound to."""
    query = {"expire": "4102444800", "id": video_id, "itag": itag, "gen": generation, "ip": identity, "voice": voice}
    query["sig"] = SIGNATURE_MARK + hashlib.sha256(repr(query).encode()).hexdigest()[:16]
    host = f"rr{stable_hash(video_id) % 4 + 1}---sn-mini.googlevideo.com"
    return f"https://{host}/videoplayback?{urlencode(query)}"


def challenge_of(video_id: str) -> str:
    """The challenge in a video's media URLs: what the player's script makes of it must be asked for instead."""
    return UNSOLVED + hashlib.sha256(video_id.encode()).hexdigest()[:8]


def _audio_track(voice: str, original: bool) -> Json:
    name = {"en": "English", "de": "German"}.get(voice, voice)
    return {
        "id": f"{voice}.{4 if original else 3}",
        "displayName": f"{name} original" if original else name,
        "audioIsDefault": original,
    }


def _caption_track(video: Video, track: Track) -> Json:
    query = {"v": video.video_id, "lang": track.language}
    if track.kind == "auto":
        query["kind"] = "asr"
    elif track.vss_id.count(".") > 1:
        query["name"] = track.vss_id.split(".", 2)[2]
    if track.locked:
        query["exp"] = "xpe"
    query["signature"] = SIGNATURE_MARK
    host = "169.254.169.254" if track.answer == "elsewhere" else "www.youtube.com"
    made = {
        "baseUrl": f"https://{host}/api/timedtext?{urlencode(query)}",
        "vssId": track.vss_id,
        "languageCode": track.language,
        "name": {"simpleText": track.name},
        "isTranslatable": True,
    }
    if track.kind == "auto":
        made["kind"] = "asr"
    return made


def find_track(video: Video, language: str, kind: str, name: str) -> Track | None:
    """The track that a caption URL names."""
    for track in video.tracks:
        same_name = (track.vss_id.split(".", 2)[2] if track.vss_id.count(".") > 1 else "") == name
        if track.language == language and (track.kind == "auto") == (kind == "asr") and same_name:
            return track
    return None
