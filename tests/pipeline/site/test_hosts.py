"""Turns at the hosts of a table of addresses: one gap for all workers, and a pause that is the host's own."""

import asyncio

import pytest

from pipeline.site.hosts import Hosts


def together(hosts: Hosts, n: int, gap_s: float, host: str = "a.org") -> list[float]:
    """When each of n callers that ask at once gets its turn, in seconds from then on."""

    async def caller() -> float:
        await hosts.turn(host, gap_s, 0.0)
        return asyncio.get_running_loop().time()

    async def all_of_them() -> list[float]:
        asked = asyncio.get_running_loop().time()
        return sorted([at - asked for at in await asyncio.gather(*(caller() for _ in range(n)))])

    return asyncio.run(all_of_them())


def test_callers_that_ask_at_once_go_one_gap_apart() -> None:
    times = together(Hosts((60.0,)), 4, gap_s=0.05)

    assert all(at > 0.05 * i - 0.01 for i, at in enumerate(times))


def test_hosts_do_not_wait_for_each_other() -> None:
    hosts = Hosts((60.0,), clock=lambda: 0.0)
    asyncio.run(hosts.turn("a.org", 1000.0, 0.0))

    assert asyncio.run(asyncio.wait_for(hosts.turn("b.org", 1000.0, 0.0), 5)) == 0.0


def test_a_refusal_pauses_the_host_for_everybody_and_longer_each_time() -> None:
    now = [100.0]
    hosts = Hosts((60.0, 600.0), clock=lambda: now[0])

    assert asyncio.run(hosts.refused("a.org")) == 60.0
    assert asyncio.run(hosts.turn("a.org", 0.0, patience_s=0.0)) == 60.0
    assert asyncio.run(hosts.turn("b.org", 0.0, patience_s=0.0)) == 0.0
    now[0] += 61
    assert asyncio.run(hosts.turn("a.org", 0.0, patience_s=0.0)) == 0.0
    assert asyncio.run(hosts.refused("a.org")) == 600.0
    now[0] += 601
    asyncio.run(hosts.answered("a.org"))
    assert asyncio.run(hosts.refused("a.org")) == 60.0, "an answer ends the row of refusals"


def test_a_refusal_that_says_how_long_is_obeyed() -> None:
    hosts = Hosts((60.0,), clock=lambda: 0.0)

    assert asyncio.run(hosts.refused("a.org", least_s=300.0)) == 300.0


def test_a_pause_is_waited_for_to_its_end_and_no_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], []  # type: ignore[var-annotated]

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    hosts = Hosts((2.5, 0.5), clock=lambda: now[0])
    assert asyncio.run(hosts.turn("b.org", 0.0, 0.0)) == 0.0 and waits.pop() == 0.0, "the first turn is at once"
    asyncio.run(hosts.refused("a.org"))
    assert asyncio.run(hosts.turn("a.org", 0.0, patience_s=2.4)) == 2.5 and waits == []
    assert asyncio.run(hosts.turn("a.org", 7.0, patience_s=2.5)) == 0.0 and waits == [1.0, 1.0, 0.5, 0.0]
    asyncio.run(hosts.refused("a.org"))
    assert asyncio.run(hosts.turn("a.org", 0.0, patience_s=0.0)) == 0.5, "a moment is a pause as well"
    waits.clear()
    assert asyncio.run(hosts.turn("a.org", 0.0, patience_s=9.0)) == 0.0
    assert waits == [0.5, 6.5], "the pause, and what is left of the gap after the request before"
