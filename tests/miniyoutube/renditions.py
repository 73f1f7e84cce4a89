"""Plain films of the demo, and what their frames show."""

from __future__ import annotations

from miniyoutube.script import Script

PLAIN = Script(4, 15, 14_000, "short")
