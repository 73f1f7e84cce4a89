"""Waiting that takes no time."""

import asyncio

import pytest

from tests.pipeline.site.toys import Clock


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> tuple[Clock, list[float]]:
    """A clock that waiting sets on, and what was waited."""
    clock, waits = Clock(), []  # type: ignore[var-annotated]

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock, waits
