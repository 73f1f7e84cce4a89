"""Shards to batches.

`index` what there is, `plan` in which order, `read` the bytes, `decode` the pixels, `loader` the batches.
"""
