"""What a trainer reads: shards, their indexes, the manifest and the cards.

Files: `plan` (with `splits`), `clips` (what is planned, as columns), `books` and `closed` (what there is for it; what
shards hold), `stage`, `files`, `sample_index` (the files of index/), `manifest`, `card`, `image_card`.
"""
