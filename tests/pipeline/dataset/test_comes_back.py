"""What was removed stays out under whatever name it comes again: moved, renamed, a second file of the same film."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvila_testing.video import Film, a_video
from manifests.errors import DamagedFile
from manifests.exits import ExitCode
from manifests.shards import read_manifest
from pipeline.cli import app
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.outdir.due import read_due
from pipeline.shards.files import read_rows
from tests.pipeline.run.small_runs import describe, start

pytestmark = pytest.mark.slow
WIDTHS = 320, 336


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films, and a data set made of them."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "films").mkdir()
    for k, width in enumerate(WIDTHS):
        film = a_video(
            folder / f"films/film-{k}.mp4", Film(seconds=9, fps=Fraction(10), gop=10, width=width, height=180)
        )
        described(film, k)
    start(folder / "out", folder)
    return folder


@pytest.fixture
def place(drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawn, tmp_path / "place")
    (tmp_path / "place/moved").mkdir()
    return tmp_path / "place"


def described(film: Path, k: int) -> None:
    """With a sentence over the whole film, so that its clip shows pictures enough."""
    describe(film, k)
    captions = film.with_suffix(".en.vtt")
    captions.write_text(captions.read_text().replace("00:03.800", "00:08.800"))


def films_in(out: Path) -> set[int]:
    """The numbers of the films with a sample in the shards, told by their widths."""
    rows = [read_rows(Store(str(out)), entry.url, ["width"]) for entry in read_manifest(str(out)).shards]
    return {WIDTHS.index(width) for table in rows for width in table.column("width").to_pylist()}


def remove(place: Path, *lines: str, purge: bool = False) -> str:
    (place / "asked.txt").write_text("\n".join(lines))
    words = ["remove", str(place / "out"), "--ids", str(place / "asked.txt"), *["--purge"] * purge]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == ExitCode.OK, done.output + repr(done.exception)
    return done.output


def test_a_film_in_a_moved_folder_under_another_name_stays_out_whatever_is_made_again(place: Path) -> None:
    out = place / "out"
    assert films_in(out) == {0, 1}
    remove(place, "film-0", purge=True)
    for path in sorted((place / "films").glob("film-0*")):
        path.rename(place / "moved" / path.name.replace("film-0", "another"))

    for redo in ("", "clips", "folder"):
        start(out, place, redo=redo)
        assert films_in(out) == {1} and list(verify(Store(str(out)))) == []
    store = Store(str(out))
    videos = store.read_json("manifest.json")["funnel"]["videos"]
    assert [it["reason"] for it in videos["rejected"]] == ["opted_out"] and videos["missing"] == 0
    assert "film-0" not in str([store.read_table("videos").to_pydict(), store.read_rejects().to_pydict()])


def test_a_second_file_of_the_same_address_does_not_take_its_place(place: Path) -> None:
    films, address = place / "films", "https://vimeo.com/76979871"
    for k, url in enumerate((address, "http://www.vimeo.com/76979871/?utm_source=x")):
        info = films / f"film-{k}.info.json"
        info.write_text(json.dumps({**json.loads(info.read_text()), "webpage_url": url}))
    start(place / "other", films)
    (place / "out").rename(place / "away")
    (place / "other").rename(place / "out")

    said = remove(place, "film-0")
    start(place / "out", films)

    assert films_in(place / "out") == set() and "the same film as one that was asked for" in said
    why = CliRunner().invoke(app, ["why", "film-1", "--out", str(place / "out")]).output
    assert f"`url {address}`" in why or "`video film-1`" in why


def test_lost_tombstones_are_noticed_and_read_from_their_copy(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove(place, "film-0")
    (place / "out/tombstones.txt").unlink()

    start(place / "out", place, redo="media")

    assert films_in(place / "out") == {1} and "tombstones.txt: is lost" in capsys.readouterr().err
    (place / "out/removals/tombstones.txt").unlink()
    with pytest.raises(DamagedFile, match=r"tombstones\.txt: is lost, and its copy too"):
        start(place / "out", place)


def test_who_asked_later_and_is_in_finished_shards_is_named_with_the_command(place: Path) -> None:
    out, asked = place / "out", place / "opt-out.txt"
    asked.write_text("channel channel-1\n")

    start(out, place / "films", opt_out=[str(asked)])

    said = f"hdvila-pipeline remove {out} --ids {out}/removals/due.txt"
    for command in ("status", "audit"):
        done = CliRunner().invoke(app, [command, str(out)])
        printed = "".join(done.output.split())  # lines break at any blank of a long path
        assert done.exit_code == 0 and said.replace(" ", "") in printed, done.output
    done = CliRunner().invoke(app, said.split()[1:])
    assert done.exit_code == 0 and films_in(out) == {0} and not read_due(Store(str(out))).lines()
