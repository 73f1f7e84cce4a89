"""A small film and its clips."""

from pathlib import Path

from hdvila_testing.rows import a_clip_row, a_video_row
from pipeline.media.cut_files import media_config
from pipeline.media.video import MadeVideo, make_video


def made(film: Path, scratch: Path, *settings: str) -> tuple[MadeVideo, list[dict[str, bytes]]]:
    scratch.mkdir()
    config = media_config(None, ["media.cut.min_short_side=0", *settings])
    video, clips = a_video_row("film"), [a_clip_row("film", 0, 1000, 3500), a_clip_row("film", 1, 3500, 5500)]
    result = make_video(film, video, clips, config, scratch)
    samples = [clip.sample.members for clip in result.clips if clip.sample]
    return result, [{e: c.read_bytes() if isinstance(c, Path) else c for e, c in s.items()} for s in samples]
