"""Published annotation files: the texts of benchmarks.

Files: `captions` (a file's captions, in the forms in which benchmarks are published), `questions` (about
videos, and multiple choice), `files` (how they are opened).
"""
