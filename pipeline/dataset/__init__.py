"""What can be done with a finished data set: verify, remove, export, merge, reshard.

Files: `verify`, `verify_shard`, `remove`, `embedded` (embeddings of what goes), `reach` (what else is the same film),
`holders` (which tables and shards hold what is to go), `records`, `edit` (rows of tables),
`purge`, `withdraw` (clips, for what they say), `recheck` (what is gone at the site), `export`, `exact` (clips from
frame 0), `hub_folder` and `hub_card` (for the Hugging Face hub), `merge`, `reshard`.
"""
