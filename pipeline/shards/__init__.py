"""What a trainer reads: shards, their indexes, the manifest and the cards.

Files: `plan` (with `splits` and `draw`), `clips` (what is planned, as columns), `books` (what there is for it),
`closed` and `places` (what shards hold, and where), `stage`, `files`, `sample_index` (the files of index/), `manifest`,
`by_split` (which split has what), `card`, `image_card`.
"""
