"""Image-text sets: published captions and pictures, made into shards that the trainer reads.

Files: `annotations` (their formats), `questions` (VQA, NLVR2, SNLI-VE), `pictures` (what is opened and how),
`importer`.
"""
