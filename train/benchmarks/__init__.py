"""Scores on published benchmarks, by their caption files and videos.

Files: `benchmark` (videos, files or shards, and scores).
"""
