"""Runs stages: units, atomic commits, resume, rejects, two executors. Knows nothing of videos.

A stage is a pure function over units; a unit is done when its commit exists. Everything else follows: resume is the
units without a commit, a killed run leaves nothing to clean, and one worker or a hundred give the same bytes.
"""

import os

# read when ray is imported, wherever that is first
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry; read when ray is imported
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
