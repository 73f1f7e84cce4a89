"""What can be done with a finished data set: verify, remove, export, merge, reshard.

Files: `verify`, `verify_shard`, `remove`, `holders` (which tables and shards hold what is to go), `purge`, `export`,
`merge`, `reshard`.
"""
