"""Published lists by their columns."""

from pipeline.crawl.sources.forms import form_of, nearest


def test_a_form_with_more_columns_goes_before_one_with_fewer() -> None:
    assert form_of(["video_id"]).name == "yt-temporal"  # type: ignore[union-attr]
    assert form_of(["video_id", "url", "clip"]).name == "hd-vila"  # type: ignore[union-attr]
    assert form_of(["x", "url"]).columns == {"url": "url"}  # type: ignore[union-attr]
    assert form_of(["x"]) is None


def test_the_nearest_forms_are_those_with_the_likest_columns() -> None:
    assert nearest(["YouTubeId", "Start", "End", "caption"], 1)[0].name == "internvid"
    assert nearest(["video", "url", "timestamps", "captions"], 1)[0].name == "panda-70m"
