"""Captions to planned clips: words with times, sentences, alignment, the plan.

Files: `captions/` (one file per format, joined in `words`), `transcripts`, `sentences`, `boundary/` (the model, and
`marks` for text that has them), `align`, `clip_plan`, `filters`, `flags`, `clips`, `added_stage` (those of other
packages), `shown_transcript`.
"""
