"""Image-text sets: published captions and pictures, made into shards that the trainer reads.

Files: `annotations` (their formats), `questions` (VQA), `pictures` (what is opened and how),
`importer`.
"""
