"""Shards to batches.

Files: `index` (manifest → samples), `folder` (the same of a folder of videos), `texts` (for them, of an annotation
file), `where` (the samples that an expression chooses), `plan` (the global order), `read` (bytes by offset) or
`stream` (whole shards, one after the other), `registry` (the views of a sample), `views`, `decode` and `crop` (views
of clips), `sound` (a spectrogram beside one of these), `picture` and `questions` (of pictures), beneath them `video`,
and `mel` (one member each), `film` (any video file), `loader`, `workers` (its processes, and what their deaths
mean).
"""
