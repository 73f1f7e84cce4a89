"""Scores on published benchmarks, by their caption files and videos.

Files: `caption_files` (their formats), `benchmark` (scores), `benchmark_videos` (files or shards).
"""
