"""Which of millions of clips, videos, transcripts and sentences are alike: what is new is compared with all before it.

Files: by what (`pictures` that `shown` condenses, `texts`, `sentences`); `same` (whether two show the same); `index`
(what is compared, from plan to plan, found by `bands` of hashes in `files`: `search` looks through them, `tasks` has
workers do it, `together` asks for a second picture; `compared` waits for what is known of a video), `groups`.
"""
