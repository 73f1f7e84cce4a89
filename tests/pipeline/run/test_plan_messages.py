"""What goes between the driver and the planning process arrives as it was sent, from several threads at once."""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pytest

from pipeline.engine.work.unit import Unit
from pipeline.run.plan_messages import Answer, Call, Piece, Said, SharedThere, Wire


class Politeness:
    def lease(self) -> str:
        return "an identity"


@pytest.fixture
def ends() -> tuple[Wire, Wire]:
    here, there = socket.socketpair()
    return Wire(Connection(here.detach()), {"politeness": Politeness()}), Wire(Connection(there.detach()))


def test_a_shared_object_is_the_real_one_where_it_arrives(ends: tuple[Wire, Wire]) -> None:
    driver, planner = ends
    calls: list[Call] = []
    stands_for_it = SharedThere("politeness", calls.append)

    planner.send(("a stage", stands_for_it))
    stage, polite = driver.receive()
    stands_for_it.lease("video", avoid="one")

    assert (stage, polite.lease()) == ("a stage", "an identity")
    assert calls == [Call("politeness", "lease", ("video",), {"avoid": "one"})]


def test_messages_of_several_threads_arrive_whole(ends: tuple[Wire, Wire]) -> None:
    driver, planner = ends
    pieces = [Piece((0, n), [Unit(f"u{i}") for i in range(2000)], is_last=True) for n in range(8)]

    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(planner.send, piece) for piece in pieces]
        arrived = [driver.receive() for _ in pieces]

    assert all(done.exception() is None for done in sent)
    assert sorted(arrived, key=lambda piece: piece.source) == pieces
    assert not driver.is_ready(0.0)


def test_an_error_and_a_log_record_arrive_as_what_they_are(ends: tuple[Wire, Wire]) -> None:
    driver, planner = ends
    record = logging.LogRecord("hdvila", logging.WARNING, "file", 7, "%d videos", (3,), None)

    planner.send(Said(record))
    driver.send(Answer(error=KeyError("an id")))

    assert driver.receive().record.getMessage() == "3 videos"
    assert isinstance(planner.receive().error, KeyError)


@pytest.mark.parametrize("n_unread", [0, 1])
def test_an_end_that_is_gone_is_noticed(ends: tuple[Wire, Wire], n_unread: int) -> None:
    driver, planner = ends
    for _ in range(n_unread):
        driver.send("not read any more")
    planner.close()

    with pytest.raises(EOFError):
        driver.receive()
