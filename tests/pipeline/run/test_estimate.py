"""What a run takes, before it does anything: the numbers follow from the costs, and the documents show those."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.cli
from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.run.estimate import Estimate, estimate_crawl, size_of

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

    assert made.size.n_candidates == pytest.approx(14e6, rel=0.01)
    assert made.size.n_videos == pytest.approx(3.3e6, rel=0.01)
    assert made.size.clip_hours == pytest.approx(371.5e3, rel=0.01)
    assert made.bytes_clips == pytest.approx(250e12, rel=0.01)


def test_days_fall_with_identities_until_something_else_holds_it_up() -> None:
    one, ten = reckoned(n_identities=1), reckoned(n_identities=10)
    many = reckoned(n_identities=100_000)

    assert "videos_per_hour" in one.bottleneck and "videos_per_hour" in ten.bottleneck
    assert one.days[one.bottleneck] == pytest.approx(17.3e6 / 150 / 24, rel=0.01)
    assert ten.days[ten.bottleneck] == pytest.approx(one.days[one.bottleneck] / 10)
    assert "network" in many.bottleneck
    assert "CPU cores" in reckoned(n_identities=100_000, n_cores=1).bottleneck


def test_a_ceiling_over_all_identities_is_named_as_the_bottleneck() -> None:
    made = reckoned("crawl.politeness.most_requests_per_minute={player: 60}", n_identities=1000)

    assert "most_requests_per_minute.player" in made.bottleneck


def test_members_that_are_switched_off_take_no_room() -> None:
    assert reckoned("media.members.stills=false", "media.members.proxy=false").bytes_members == 0
    assert reckoned("media.members.stills=false").bytes_members < reckoned().bytes_members / 2


def test_a_dry_run_prints_the_same_as_the_command(tmp_path: Path) -> None:
    estimated = CliRunner().invoke(pipeline.cli.app, ["estimate", str(SIZE_OF_THE_PAPER)])
    dry = CliRunner().invoke(pipeline.cli.app, ["run", str(SIZE_OF_THE_PAPER), "--dry-run", "--stop-after", "2h"])

    assert estimated.exit_code == 0 and "bottleneck: asking (videos_per_hour" in estimated.output
    assert dry.output == estimated.output
