"""What a run takes, before it does anything: the numbers follow from the costs, and the documents show those."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.cli
import pipeline.run.estimate
from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.run.estimate import Estimate, estimate, estimate_crawl
from pipeline.run.looks import size_of
from tests.pipeline.crawl.sources.published import publish
from tests.pipeline.site.api import KEY

REPO = Path(__file__).resolve().parents[3]
SIZE_OF_THE_PAPER = REPO / "configs" / "run_hdvila_100m.yaml"


def reckoned(*settings: str, n_cores: int = 100, n_identities: int = 0) -> Estimate:
    config = load_config(RunConfig, SIZE_OF_THE_PAPER, list(settings))
    size = size_of(config)
    assert size is not None
    return estimate_crawl(config, size, n_cores=n_cores, n_identities=n_identities)


def test_the_page_on_scale_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    page = (REPO / "docs" / "scale.md").read_text()
    found = re.search(r"```sh\nhdvila-pipeline (.*?)\n```\n\n```text\n(.*?)```", page, re.DOTALL)
    assert found
    printed = CliRunner().invoke(pipeline.cli.app, shlex.split(found[1]))

    assert printed.output == found[2]


def test_the_paper_s_size_comes_out_of_the_paper_s_yield() -> None:
    made = reckoned()

    assert made.size.n_candidates == pytest.approx(14e6 * 1.25, rel=0.01)  # with the reserve
    assert made.requests["script"] < made.size.n_candidates / 100
    assert made.size.n_videos == pytest.approx(3.3e6, rel=0.01)
    assert made.size.clip_hours == pytest.approx(371.5e3, rel=0.01)
    assert made.bytes_clips == pytest.approx(250e12, rel=0.01)


def test_days_fall_with_identities_until_something_else_holds_it_up() -> None:
    one, ten = reckoned(n_identities=1), reckoned(n_identities=10)
    many = reckoned(n_identities=100_000)

    assert "videos_per_hour" in one.bottleneck and "videos_per_hour" in ten.bottleneck
    assert one.days[one.bottleneck] == pytest.approx((14e6 * 1.25 + 3.3e6) / 150 / 24, rel=0.01)
    assert 0.9 < 10 * ten.days[ten.bottleneck] / one.days[one.bottleneck] < 1  # more of its media comes in time
    assert "network" in many.bottleneck
    assert "CPU cores" in reckoned(n_identities=100_000, n_cores=1).bottleneck


def test_members_that_are_switched_off_take_no_room() -> None:
    assert reckoned("media.members.stills=false", "media.members.proxy=false").bytes_members == 0
    assert reckoned("media.members.stills=false").bytes_members < reckoned().bytes_members / 2


def test_what_is_heard_is_fetched_once_more_as_audio_alone() -> None:
    deaf, hearing = reckoned(), reckoned("media.heard.model=/models/whisper")

    audio_bytes = deaf.size.source_hours * 3600 * 128_000 / 8
    assert hearing.bytes_in - deaf.bytes_in == pytest.approx(audio_bytes)
    pieces = max(deaf.size.n_videos, audio_bytes / 10.49e6)  # a file a video, in pieces of 10 MB
    assert hearing.requests["media"] - deaf.requests["media"] == pytest.approx(pieces)
    assert {**hearing.requests, "media": 0} == {**deaf.requests, "media": 0}
    assert hearing.core_hours.keys() - deaf.core_hours.keys() == {"recognise"}


def test_what_lies_before_clips_counts_unless_they_are_cut_exactly() -> None:
    remuxed, exact = reckoned(), reckoned("media.cut.mode=exact")

    assert remuxed.bytes_before == pytest.approx(0.19 * remuxed.bytes_clips, rel=0.03)  # 2.5 s of 13.4
    assert exact.bytes_out == pytest.approx(remuxed.bytes_out - remuxed.bytes_before)


def test_a_dry_run_prints_the_same_as_the_command(tmp_path: Path) -> None:
    estimated = CliRunner().invoke(pipeline.cli.app, ["estimate", str(SIZE_OF_THE_PAPER)])
    dry = CliRunner().invoke(pipeline.cli.app, ["run", str(SIZE_OF_THE_PAPER), "--dry-run", "--stop-after", "2h"])

    assert estimated.exit_code == 0 and "bottleneck: asking (videos_per_hour" in estimated.output
    assert dry.stdout == estimated.stdout


def estimated(**tree: object) -> str:
    """What the command would print."""
    return "\n".join(estimate(RunConfig.model_validate({"out": "out", **tree})))


def test_a_list_of_ids_is_the_most_that_there_is_and_costs_no_listing(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(f"abcdefg{n:04d}\n" for n in range(500)))
    crawl = {"sources": ["lists"], "lists": {"files": [str(ids)]}}

    for balance in ({}, {"total": 1000, "unit": "hours"}):
        said = estimated(crawl=crawl, balance=balance)
        assert "lists: about 500 videos are named" in said and "of 500 candidates" in said
        assert "requests: list 0, page" in said and "cost is not known" not in said
    assert "of 60 candidates" in estimated(crawl=crawl, balance={"total": 1, "unit": "hours"})
    assert "lists:" not in estimated(crawl={**crawl, "sources": ["lists", "search"]}, balance={"total": 1})


def test_a_list_that_brings_its_texts_costs_no_captions(tmp_path: Path) -> None:
    lists = {"files": [str(publish("panda-70m", [f"abcdefg{n:04d}" for n in range(50)], tmp_path))]}
    assert "caption 0," in estimated(crawl={"sources": ["lists"], "lists": lists})
    assert "caption 0," not in estimated(crawl={"sources": ["lists"], "lists": lists | {"transcripts": True}})


def test_a_long_list_is_counted_by_its_first_rows_and_each_video_of_hd_vila_s_own_was_kept(tmp_path: Path) -> None:
    clips = tmp_path / "clips.jsonl"
    clips.write_text("".join(f'{{"video_id": "vid{n:08}", "url": "", "clip": []}}\n' for n in range(30_000)))

    said = estimated(crawl={"sources": ["lists"], "lists": {"files": [str(clips)]}})

    named = re.search(r"about ([\d,]+) of ([\d,]+) candidates", said)
    assert named and named[1] == named[2] and abs(int(named[1].replace(",", "")) - 30_000) < 300


def test_a_key_of_the_data_api_shortens_the_asking_and_is_named_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(KEY)
    without = reckoned(n_identities=10)
    with_key = reckoned(f"crawl.data_api.key_file={tmp_path / 'key.txt'}", n_identities=10)

    assert with_key.looks.n_decided == pytest.approx(0.45 * with_key.size.n_candidates)
    assert with_key.days[with_key.bottleneck] < 0.7 * without.days[without.bottleneck]
    assert with_key.requests["page"] < 0.7 * without.requests["page"]
    said = estimated(balance={"total": 1e6, "unit": "clips"})
    assert "with a key of the Data API (crawl.data_api): " in said
    key = {"data_api": {"key_file": str(tmp_path / "key.txt")}}
    assert "decided by the Data API" in estimated(crawl=key, balance={"total": 1e6, "unit": "clips"})


def test_sources_that_end_before_the_total_are_said(tmp_path: Path) -> None:
    small = estimated(balance={"total": 1000, "unit": "clips"})
    assert "enough for 15 of 15 categories" in small and "add queries" not in small
    large = estimated(balance={"total": 1e8, "unit": "clips", "policy": "hd-vila"})
    assert "kept videos; enough for 1 of 15 categories" in large
    assert "words that kept videos share are searched for" in large and "enough for 15 of 15 categories" in large
    one = {"queries": {27: ["lecture"]}, "categories": [27], "grow_from_channels": False, "grow_from_words": False}
    assert "1 lists have 600 results at most; enough for 0 of 1" in estimated(crawl=one, balance={"total": 1e5})


def test_what_cannot_be_estimated_is_said(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("url,caption\nhttps://a.example/1.mp4,a film\n")
    assert "lists: they name media elsewhere; what other hosts send is not known" in estimated(
        crawl={"sources": ["lists"], "lists": {"files": [str(table)]}}
    )
    assert "so its cost is not known" in estimated(crawl={"sources": ["search"]})
    said = estimated(crawl={"sources": ["lists"], "lists": {"files": ["/nowhere/ids.txt"]}})
    assert "/nowhere/ids.txt is not there yet; a run needs it" in said and "so its cost is not known" in said
