"""The tables of an output directory for SQL. Commits stay the truth: whatever DuckDB keeps may be deleted at any time.

DuckDB never opens a file of the output directory: rows come through the store's own readers.

For `sql` they are kept in a file in the user's cache folder. This program's own questions, each asked once, stream the
columns that they name from the store, and keep nothing.

Files: `catalogue` (tables, columns, and what a text of SQL needs of them), `views/` (what follows from them, as SQL),
`facts` (small tables of what the program knows), `statements` (runs one), `streams` (tables without a file), `funnel`
and `rejects` (asked by several rooms), `sources` (where the rows of a table lie now), `fill` (reads what is new into
the file), `cache` (the file: where it lies, who holds it, when it is made again), `ask` (one statement of a person,
within limits), `printed` (its answer).
"""
