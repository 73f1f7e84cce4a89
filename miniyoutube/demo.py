"""The demo: 46 drawn videos over the 15 categories, unequal in number, twelve of which misbehave; and the settings of
an ordinary run that is pointed at them.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import Secret, SecretStr

from manifests.categories import category_name
from manifests.settings import load_config
from miniyoutube.catalogue import (
    AUTO_EN,
    CREATIVE_COMMONS,
    MANUAL_EN,
    Catalogue,
    Channel,
    Playlist,
    Video,
    cast,
    site_id,
    stable_hash,
)
from miniyoutube.script import NOUNS, Script, duration_for
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig

CONFIG = Path(__file__).with_name("demo.yaml")
_SUPPLY = ((4, (25, 17)), (3, (24, 26, 20)), (2, (1, 2, 22, 27, 28, 23, 15)), (1, (19, 10, 29)))
DEMO_SUPPLY: dict[int, int] = {category_id: n for n, ids in _SUPPLY for category_id in ids}
"""Well-behaved videos of each category id."""

DEMO_MISBEHAVING: tuple[tuple[int, str], ...] = (
    (25, "private"),
    (17, "removed"),
    (10, "bot_check_once"),
    (19, "player_429_once"),
    (24, "no_captions"),
    (26, "only_480p"),
    (1, "short_media"),
    (2, "wrong_category"),
    (22, "reupload"),
    (20, "live"),
    (27, "non_english"),
    (29, "media_reset_once"),
)
"""Category and behaviour of the others."""


@cache
def demo_catalogue(seed: int = 0) -> Catalogue:
    """Makes the demo's videos, channels and playlists; the same for the same seed."""
    videos = [a_video(seed, category_id, n) for category_id, supply in DEMO_SUPPLY.items() for n in range(supply)]
    for category_id, behaviour in DEMO_MISBEHAVING:
        plain = a_video(seed, category_id, DEMO_SUPPLY[category_id])
        videos.append(_cast_for_demo(plain, behaviour, videos))
    return Catalogue(tuple(videos), tuple(_a_playlist(seed, category_id, videos) for category_id in (17, 25)))


def a_video(seed: int, category_id: int, n: int) -> Video:
    """Makes the n-th demo video of a category: fourteen plain sentences, or fifteen for one in four; 64 to 72 s."""
    video_seed = stable_hash("demo", seed, category_id, n) % 1_000_000
    channel = a_channel(seed, category_id, n % 2)
    duration_ms = duration_for(video_seed, category_id, 14 + (video_seed % 4 == 0), "plain")
    script = Script(video_seed, category_id, duration_ms, "plain")
    noun = NOUNS[category_id][n % 2]
    return Video(
        video_id=site_id(11, "demo", seed, category_id, n),
        title=f"{category_name(category_id)}: the {noun}, part {n + 1}",
        channel=channel,
        category_id=category_id,
        script=script,
        footage=script,
        tracks=(AUTO_EN,) if video_seed % 3 == 0 else (MANUAL_EN, AUTO_EN),
        searchable=n < 2 or video_seed % 3 != 0,
        license=CREATIVE_COMMONS if video_seed % 4 == 0 else "",
        upload_date=f"20{18 + video_seed % 8}-{1 + video_seed % 12:02}-{1 + video_seed % 28:02}",
        view_count=100 + video_seed,
        keywords=(noun, "shapes", "colours"),
    )


def a_channel(seed: int, category_id: int, n: int) -> Channel:
    """Makes the n-th channel of a category."""
    word = NOUNS[category_id][n % 2]
    name = f"{word.capitalize()} {'Studio' if n % 2 else 'Daily'} {n}"
    handle = f"@{word}.{category_id}.{n}-{seed}"
    return Channel("UC" + site_id(22, "channel", seed, category_id, n), handle, name)


def _cast_for_demo(plain: Video, behaviour: str, others: list[Video]) -> Video:
    """Gives a behaviour; a re-upload copies a video of another channel, a wrong category is found under Music."""
    same_category = [video for video in others if video.category_id == plain.category_id]
    original = next((v for v in same_category if v.channel != plain.channel), None)
    acted = cast(plain, behaviour, another_category=10, original=original)
    return replace(acted, searchable=True)


def _a_playlist(seed: int, category_id: int, videos: list[Video]) -> Playlist:
    """Puts all videos of a category in one playlist, including those that a search doesn't find."""
    own = [video for video in videos if video.category_id == category_id]
    title = f"All of {category_name(category_id)}"
    list_id = "PL" + site_id(32, "playlist", seed, category_id)
    return Playlist(list_id, title, own[0].channel, tuple(video.video_id for video in own))


def demo_config(out: Path, file: Path | None, overrides: list[str]) -> RunConfig:
    """Loads the demo's settings, with `out` as output. Raises ConfigError."""
    return load_config(RunConfig, file or CONFIG, [f"out={out}", *overrides])


def some_of(catalogue: Catalogue, n_videos: int) -> Catalogue:
    """A catalogue with this many of the videos, evenly chosen; 0: all."""
    if not 0 < n_videos < len(catalogue.videos):
        return catalogue
    indices = [i * len(catalogue.videos) // n_videos for i in range(n_videos)]
    return replace(catalogue, videos=tuple(catalogue.videos[i] for i in indices), playlists=())


def pointed_at(site: MiniYouTube, config: RunConfig) -> RunConfig:
    """Points yt-dlp at a mini-YouTube: as its proxy, without checking the certificate."""
    options = config.crawl.ydl_opts.get_secret_value() | {"nocheckcertificate": True}
    proxy = SecretStr(site.proxy_url)
    identities = tuple(identity.model_copy(update={"proxy": proxy}) for identity in config.crawl.pool())
    crawl = config.crawl.model_copy(update={"identities": identities, "ydl_opts": Secret(options)})
    return config.model_copy(update={"crawl": crawl})
