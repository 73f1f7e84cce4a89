"""What to keep: quotas by category, the order in each, and the selection from what exists.

Files: `ranking` (seeded ranks), `quotas` by `water_fill`, `standing` (what exists of each candidate), `next_batch`,
`selection` by `whole_clips`, `clip_lists`, `result`.
"""
