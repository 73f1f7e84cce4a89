"""The tables of an output directory for SQL: a DuckDB file made from committed parts, which may be deleted at any time.

Commits stay the truth. DuckDB never opens a file of the output directory: rows come through the store's own readers.

Files: `catalogue` (tables, columns, and what a text of SQL needs of them), `views/` (what follows from them, as SQL),
`sources` (where the rows of a table lie now), `fill` (reads those that are new into the file), `cache` (the file: where
it lies, who holds it, when it is made again), `ask` (one statement of a person, within limits), `printed` (its answer).
"""
