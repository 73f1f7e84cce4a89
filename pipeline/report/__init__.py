"""What a person reads: the audit page, its numbers, the summary and the status.

Files: `page`, `charts` (as SVG), `data`, `clips` and `rows` (what is counted of every clip, shard by shard),
`tally` (counts of what comes in pieces), `places` and `once` (the clips of shards among a table's rows; the row that
counts), `facts` (licence, captions …), `audit` (the numbers), `verdict`, `samples`,
`story` (of one video) and `clip_story` (of its clips), `summary`, `status` and `run_lines`
(on a terminal), `templates/`.
"""
