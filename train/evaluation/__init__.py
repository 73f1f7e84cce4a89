"""What a model has learned: retrieval and the other scores on held-out samples.

Files: `evaluate` (of a run's held-out clips), `scores` (ranks, chance), `held_out` (losses), `flow` (attention between
text and picture), `matching` (pairs through the layers over both), `answers` (answers to questions, official result
files), `encoder` (videos and sentences to embeddings), `embed` (every sample of a data set), `mixture` (right and wrong
pairs by their scores), `published` (the benchmark that a file asks for): `benchmark` (retrieval over its videos),
`choices` (multiple choice), `video_answers` (to questions about them), `videos` (where those are).
"""
