"""Which of millions of clips, videos, transcripts and sentences are alike: what is new is compared with all before it.

Files: by what (`pictures` that `shown` condenses, `texts`, `sentences`); `same` (whether two show the same); `stage`,
which compares a batch, and `comparing`, what the next one is; `index` (what is compared, in files, found by `bands` of
hashes: `search` looks through them, `together` asks for a second picture); `matches`, what a plan reads; `groups`.
"""
