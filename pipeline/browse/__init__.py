"""A page to look at a data set: every clip and video, kept or rejected, to search, play and mark.

It only reads. What it shows is worked out from the tables by the views `all_clips` and `all_videos`, and kept in a file
of DuckDB in the user's cache folder; media come from the shards by range.

Files: `filters` (the line of words in the search box, as SQL), `rows_file` (that file), `rows` (questions to it),
`text_index` (which clips say a text, where there are many), `meaning` (which mean it), `clip` (a clip's members),
`marks` (what a person marked), `review` (clips drawn and judged), `pages` (HTML), `guard` (who may ask), `server` (HTTP
on loopback), `templates/`.
"""
