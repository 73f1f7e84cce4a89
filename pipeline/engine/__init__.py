"""Runs stages: units, atomic commits, resume, rejects, two executors. Knows nothing of videos.

A stage is a pure function over units; a unit is done when its commit exists. Everything else follows: resume is the
units without a commit, a killed run leaves nothing to clean, and one worker or a hundred give the same bytes.
"""
