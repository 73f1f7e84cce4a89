"""What can be done with a finished data set: verify, remove, export, merge, reshard.

Files: `verify`, `verify_shard`, `remove`, `reach` (what else is the same film), `holders` (which tables and
shards hold what is to go), `records`, `purge`, `export`,
`merge`, `reshard`.
"""
