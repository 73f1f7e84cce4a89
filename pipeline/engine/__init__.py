"""Runs stages: units, atomic commits, resuming, rejects, two executors. Knows nothing about videos.

A stage is a pure function over units; a unit is done once its commit exists. Everything else follows: resuming means
running the units without a commit, a killed run leaves nothing to clean up, and one worker or a hundred give the same
bytes.
"""

import os

# read when ray is first imported, wherever that happens
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
