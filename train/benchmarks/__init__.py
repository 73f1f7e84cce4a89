"""Scores on published benchmarks, by their caption files and videos."""
