"""A video's 720p rendition as HLS: playlists, and segments that ffmpeg makes of the drawn files.

    manifest.googlevideo.com/api/manifest/hls_variant/id/ID/layout/LAYOUT          what there is: 720p
    manifest.googlevideo.com/api/manifest/hls_playlist/id/ID/layout/LAYOUT/itag/N  the segments of it
    rr1---sn-mini.googlevideo.com/videoplayback?id=ID&itag=N&seg=NAME…             a segment

LAYOUT: "joint" (MPEG-TS with sound), "apart" (fragmented mp4, the sound in a playlist of its own), "locked" (joint, and
its playlist says that the segments are encrypted).
"""

import re
import subprocess
import threading
from pathlib import Path

from miniyoutube.answers import Request
from miniyoutube.catalogue import Video
from miniyoutube.innertube import media_url
from miniyoutube.media_cache import MediaCache
from pipeline.media.ffmpeg import find_ffmpeg

LAYOUTS = {"hls_only": "joint", "hls_apart": "apart", "hls_locked": "locked"}
"""By the effect of a fault of the player."""
SEGMENT_S = 5
JOINT, PICTURES, SOUND = "95", "232", "234"
"""The site's itags."""
_GUARD = threading.Lock()


def manifest_url(kind: str, **facts: str) -> str:
    """The address of a playlist."""
    path = "/".join(f"{name}/{value}" for name, value in facts.items())
    return f"https://manifest.googlevideo.com/api/manifest/{kind}/{path}"


def facts_of(path: str) -> dict[str, str]:
    """What the path of a playlist's address says."""
    parts = path.split("/")[4:]
    return dict(zip(parts[::2], parts[1::2], strict=False))


def playlist(video: Video, request: Request, cache: MediaCache, generation: int) -> str:
    """The playlist that a request names."""
    facts = facts_of(request.path)
    if "itag" not in facts:
        return _variants(video, facts.get("layout", ""))

    def address(name: str) -> str:
        return media_url(video.video_id, int(facts["itag"]), generation, request.identity, "") + f"&seg={name}"

    made = _made(video, facts["itag"], cache).read_text()
    made = re.sub(r'URI="([^"]+)"', lambda found: f'URI="{address(found[1])}"', made)
    lines = [line if line.startswith("#") else address(line) for line in made.splitlines() if line]
    if facts.get("layout") == "locked":
        lines.insert(1, '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="https://www.youtube.com/key"')
    return "\n".join([*lines, ""])


def _variants(video: Video, layout: str) -> str:
    picture, facts = video.picture(720), {"id": video.video_id, "layout": layout}
    size = f"BANDWIDTH=1500000,RESOLUTION={picture.width}x{picture.height},FRAME-RATE=12"
    if layout != "apart":
        address = manifest_url("hls_playlist", **facts, itag=JOINT)
        return f'#EXTM3U\n#EXT-X-STREAM-INF:{size},CODECS="avc1.4d401f,mp4a.40.2"\n{address}\n'
    sound, pictures = (manifest_url("hls_playlist", **facts, itag=itag) for itag in (SOUND, PICTURES))
    return (
        f'#EXTM3U\n#EXT-X-MEDIA:URI="{sound}",TYPE=AUDIO,GROUP-ID="{SOUND}",NAME="Default",DEFAULT=YES\n'
        f'#EXT-X-STREAM-INF:{size},CODECS="avc1.4d401f",AUDIO="{SOUND}"\n{pictures}\n'
    )


def segment(video: Video, request: Request, cache: MediaCache) -> Path | None:
    """The file of the segment that a request names, None if there is none."""
    name = request.query.get("seg", "")
    path = _made(video, request.query.get("itag", ""), cache).with_name(name)
    return path if re.fullmatch(r"\w+\.(?:ts|m4s|mp4)", name) and path.exists() else None


def _made(video: Video, itag: str, cache: MediaCache) -> Path:
    """The playlist of a rendition's segments, which lie beside it; ffmpeg makes them when they are first asked for."""
    files = [cache.path(video.picture(720))] if itag != SOUND else []
    files += [cache.path(video.audio())] if itag != PICTURES else []
    folder = cache.root / f"{files[0].name}.{itag}.hls"
    with _GUARD:
        if not folder.exists():
            unfinished = folder.with_suffix(".tmp")
            unfinished.mkdir(exist_ok=True)
            inputs = [part for file in files for part in ("-i", str(file))]
            kind = "mpegts" if itag == JOINT else "fmp4"
            command = [find_ffmpeg(), "-v", "error", "-y", *inputs, "-c", "copy", "-f", "hls"]
            command += ["-hls_segment_type", kind, "-hls_time", str(SEGMENT_S), "-hls_playlist_type", "vod"]
            subprocess.run([*command, "index.m3u8"], cwd=unfinished, check=True, timeout=120)
            unfinished.rename(folder)
    return folder / "index.m3u8"
