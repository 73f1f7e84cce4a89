"""Scores on published benchmarks, by their caption files and videos.

Files: `caption_files` (their formats), `benchmark` (videos, files or shards, and scores).
"""
