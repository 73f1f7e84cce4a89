"""The tables of an output directory: which units are committed, and where their rows lie.

Its files are written by manifests/files.py. Files: `commits` (which units are done), `segments` (many units in few
files), `lookup` (where the rows of a video are), `ranges` (a few rows of a large file, or of a segment's two), `store`
(the tables, with `committed`: which units are done, and `unit_parts`: what a unit wrote), `merge` and `merge_ids`
(parts to segments), `segment_files` (writes them), `delete_merged` (deletes what they cover), `take_out` (takes videos
out of units), `new_parts` and `follow` (the parts, and the rows, that were committed since the last look), `many_parts`
(many units' rows file by file), `lost` (files that should be there).
"""
