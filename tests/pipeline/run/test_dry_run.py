"""What a run will ask for, before it does anything: quotas, requests, days; and what cannot be known is said."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.cli
from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.run.doctor import check_pace
from pipeline.run.dry_run import days_of, dry_run, requests_of, size_of
from tests.pipeline.crawl.sources.published import publish

REPO = Path(__file__).resolve().parents[3]
SIZE_OF_THE_PAPER = REPO / "configs" / "run_hdvila_100m.yaml"


def test_the_page_on_scale_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    page = (REPO / "docs" / "scale.md").read_text()
    found = re.search(r"```sh\nhdvila-pipeline (.*?)\n```\n\n```text\n(.*?)```", page, re.DOTALL)
    assert found
    printed = CliRunner().invoke(pipeline.cli.app, shlex.split(found[1]))

    assert printed.stdout == found[2]


def test_the_paper_s_size_comes_out_of_the_paper_s_yield_and_days_fall_with_identities() -> None:
    config = load_config(RunConfig, SIZE_OF_THE_PAPER)
    size = size_of(config)
    assert size is not None
    assert size.n_candidates == pytest.approx(14e6 * 1.25, rel=0.01), "with the reserve"
    assert size.n_videos == pytest.approx(3.3e6, rel=0.01)
    assert requests_of(size)["media"] == pytest.approx(1.25 * 250e12 / 10.49e6, rel=0.01)

    (looks, one), *_ = days_of(config, size).items()
    assert "videos_per_hour" in looks and one == pytest.approx((14e6 * 1.25 + 3.3e6) / 150 / 24, rel=0.01)
    ten = ", ".join(f"{{name: i{n}, videos_per_hour: 150}}" for n in range(10))
    days = days_of(load_config(RunConfig, SIZE_OF_THE_PAPER, [f"crawl.identities=[{ten}]"]), size)
    assert max(days.values()) == pytest.approx(one / 10)
    slow = load_config(RunConfig, SIZE_OF_THE_PAPER, ["crawl.politeness.identity_requests_per_minute.player=1"])
    assert next(iter(days_of(slow, size))).startswith("looks (identity_requests_per_minute.player")


def test_the_doctor_counts_the_same_days(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"out": str(tmp_path), "balance": {"total": 1e6, "unit": "clips"}})
    said = re.search(r"([\d,.]+) days  looks", "\n".join(dry_run(config)))
    assert said and f"about {said[1]} days for 1,000,000 clips" in check_pace(config).found


def planned(**tree: object) -> str:
    """What the command would print."""
    return "\n".join(dry_run(RunConfig.model_validate({"out": "out", **tree})))


def test_a_list_of_ids_is_the_most_that_there_is_and_costs_no_listing(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(f"abcdefg{n:04d}\n" for n in range(500)))
    crawl = {"sources": ["lists"], "lists": {"files": [str(ids)]}}

    for balance in ({}, {"total": 1000, "unit": "hours"}):
        said = planned(crawl=crawl, balance=balance)
        assert "lists: about 500 videos are named" in said and "of 500 candidates" in said
        assert "requests: list 0, page" in said
    assert "about 9 of 47 candidates" in planned(crawl=crawl, balance={"total": 1, "unit": "hours"})
    assert "lists:" not in planned(crawl={**crawl, "sources": ["lists", "search"]}, balance={"total": 1})


def test_a_list_that_brings_its_texts_costs_no_captions(tmp_path: Path) -> None:
    lists = {"files": [str(publish("panda-70m", [f"abcdefg{n:04d}" for n in range(50)], tmp_path))]}
    assert "caption 0," in planned(crawl={"sources": ["lists"], "lists": lists})


def test_a_long_list_is_counted_by_its_first_rows_and_each_video_of_hd_vila_s_own_was_kept(tmp_path: Path) -> None:
    clips = tmp_path / "clips.jsonl"
    clips.write_text("".join(f'{{"video_id": "vid{n:08}", "url": "", "clip": []}}\n' for n in range(30_000)))

    said = planned(crawl={"sources": ["lists"], "lists": {"files": [str(clips)]}})

    named = re.search(r"about ([\d,]+) of ([\d,]+) candidates", said)
    assert named and named[1] == named[2] and abs(int(named[1].replace(",", "")) - 30_000) < 300


def test_what_cannot_be_known_is_said(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("url,caption\nhttps://a.example/1.mp4,a film\n")
    elsewhere = planned(crawl={"sources": ["lists"], "lists": {"files": [str(table)]}}, balance={"total": 10})
    assert "lists: they name media elsewhere; what other hosts send is not known" in elsewhere
    assert "requests:" not in elsewhere
    assert "everything that is found" in planned(crawl={"sources": ["search"]})
    said = planned(crawl={"sources": ["lists"], "lists": {"files": ["/nowhere/ids.txt"]}})
    assert "/nowhere/ids.txt is not there yet; a run needs it" in said


def test_a_folder_is_counted_and_promised_no_requests(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(10**7))
    folder = {"crawl": {"sources": ["folder"]}, "folder": {"path": tmp_path}}
    assert f"folder: 1 files that may be videos in {tmp_path}, 0.01 GB" in planned(**folder)
    assert "requests:" not in planned(**folder, balance={"total": 10})
    assert "is not a folder; set folder.path" in planned(**{**folder, "folder": {"path": tmp_path / "none"}})
