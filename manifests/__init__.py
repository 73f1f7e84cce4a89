"""The contract between the pipeline and the trainer: schemas, categories, reason codes, the shard manifest.

Imports neither of the two packages, and neither Ray nor torch.
"""
