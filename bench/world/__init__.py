"""An imagined world for benches: what there is to crawl, what each unit gives, and the workers that make it.

Files: `distribution` (what is drawn, from a file of this folder: `paper.toml`, `tiny_channels.toml`, `restarts.toml`),
`videos` (channels and videos, each a function of its number), `rows` (the rows of each table; `wide`: their long
columns), `work` (what each stage's unit gives), `cluster` (imagined workers, on a clock that jumps), `accounts` (what
the driver costs), `driven` (a run whose plans and merges have accounts of their own), `page` (curves and table).
"""
