"""Shards to batches.

`index` knows what there is, `plan` the order, `read` gets the bytes, `decode` the pixels, `loader` makes the batches.
"""
