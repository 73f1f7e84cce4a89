"""What to keep: quotas by category, the order in each, repeats, and the selection from what exists.

Files: `ranking` (seeded ranks), `quotas`, `standing` (what exists of each candidate), `next_batch`, `selection`,
`duplicates` (by text: `reuploads` and `sentences`; by pictures: `shown`; `likeness`: whether two show the same),
`alike` (pairs that are alike among millions of things, found new against old by `bands` of hashes in `near_files`:
`near_search` looks through them, `near_tasks` has workers do it, `together` asks for a second picture; `compared` waits
for what is known of a video), `groups`, `clip_lists`, `result`.
"""
