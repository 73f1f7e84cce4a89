"""What a person asked of an output directory, and what is missing from it.

Files: `identity` (refuses settings other than those that made it), `accounts` (finds and names what is missing),
`retries`, `named` (what a person pastes), `tombstones`, `sayings` (the
sentences among them), `due` (what is to be removed, or looked at), `remade` (what can be made again from the tables).
"""
