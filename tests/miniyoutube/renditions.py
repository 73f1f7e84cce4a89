"""Plain films of the demo, and what their frames show."""

from __future__ import annotations

from miniyoutube.script import Script, as_written, shots_of

PLAIN = Script(4, 15, 14_000, "short")


def sentences_of(script: Script) -> list[str]:
    """The sentences as a careful typist would write them: with a capital first and a full stop at the end."""
    return [as_written(shot.words) for shot in shots_of(script) if shot.words]
