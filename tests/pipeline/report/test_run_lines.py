"""What `status` says of a run from its own file."""

import io
from typing import Any

from rich.console import Console

from manifests.run_status import RunStatus, StageStatus
from pipeline.report.run_lines import headline, print_identities, print_run, result_line

BUSY = StageStatus(
    stage="media",
    done_before=10,
    done=30,
    known=50,
    in_flight=4,
    seconds=3600,
    rejects={"hdr": 2},
    rejects_before={"hdr": 3, "silent": 1},
    losses={"n1: lost": 3, "n2: lost": 1, "n3: lost": 1, "n4: lost": 1, "n1: timeout": 1},
)


def test_a_live_run_is_told_from_one_that_fell_silent() -> None:
    status = RunStatus(host="head", pid=7, started_at=1000.0, updated_at=8000.0, stages=(BUSY,))

    assert headline(status, 8005.0) == "running for 117 min on head pid 7"
    assert headline(status, 8600.0).startswith("no sign of life for 10 min; was running on head pid 7")


def test_an_ended_run_says_how() -> None:
    status = RunStatus(state="ended", host="head", pid=7, updated_at=50.0, exit_code=75, detail="media: [bold]x")

    assert headline(status, 60.0) == "ended 10 s ago on head pid 7, exit 75: media: [bold]x"


def test_the_first_line_says_what_there_is_of_what_was_asked_for_and_how_long_it_took() -> None:
    totals = {"samples": 420, "hours": 0.4829, "shards": 16}
    clips = {"totals": totals, "balance": {"total_asked": 420.0, "unit": "clips"}}
    hours = {"totals": totals, "balance": {"total_asked": 1000.0, "unit": "hours"}}
    done = RunStatus(state="ended", started_at=0.0, updated_at=341.0, exit_code=0)
    busy = RunStatus(started_at=0.0, updated_at=100.0)

    assert result_line(clips, done, 900.0) == "420 of 420 clips, 0.48 h, 16 shards, the last run took 6 min"
    assert result_line(hours, busy, 110.0) == "420 clips, 0.48 of 1,000 h, 16 shards, so far"
    assert result_line({}, busy, 110.0) == "no shard yet"


def test_stages_show_units_rate_rejects_and_losses() -> None:
    buffer = io.StringIO()
    print_run(RunStatus(host="h", stages=(BUSY,), updated_at=1.0), Console(file=buffer, width=80), 2.0)

    text = " ".join(buffer.getvalue().split("\n"))
    assert (
        "media  40 " in text
        and "media: rejected so far: 5 hdr, 1 silent " in text
        and "media: attempts lost: 6 lost (3 on n1, 1 on n2, 1 on n3, 1 elsewhere); 1 timeout (1 on n1)" in text
    )


def test_rejects_in_force_are_told_apart_from_all_that_were_ever_made() -> None:
    buffer = io.StringIO()
    in_force = {"extract": {"no_captions": 1200}, "media": {"hdr": 4, "timeout": 1}}
    status = RunStatus(host="h", stages=(BUSY,), updated_at=1.0, rejects_in_force=in_force)
    print_run(status, Console(file=buffer, width=120), 2.0)

    lines = buffer.getvalue().splitlines()
    assert "extract: videos rejected without a replacement: 1,200 no_captions" in lines
    assert "media: videos rejected without a replacement: 4 hdr, 1 timeout" in lines


def test_of_many_identities_only_those_that_stand_out_have_a_line() -> None:
    well = [{"name": f"id-{n}", "paused_s": 0.0, "answers": 10, "requests": {"page": 4}} for n in range(200)]
    odd = [well[3] | {"paused_s": 90.0, "why": "bot_check"}, well[5] | {"captions_paused_s": 30.0}]
    state: Any = {"identities": [*well[:3], odd[0], well[4], odd[1], *well[6:]]}
    buffer = io.StringIO()
    print_identities(state, Console(file=buffer, width=80), is_over=True)

    named = [line.split()[0] for line in buffer.getvalue().splitlines()[1:3]]
    assert named == ["id-3", "id-5"]
    assert "198 others" in buffer.getvalue() and "792" in buffer.getvalue() and "id-4" not in buffer.getvalue()
