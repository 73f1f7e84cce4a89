"""What a model has learned: retrieval and the other scores on held-out samples.

Files: `evaluate` (of a run's held-out clips), `scores` (ranks, chance), `held_out` (losses), `attributes` (by
attributes that captions name), `flow` (attention between text and picture), `matching` (pairs through the layers over
both), `rerank` (the towers' candidates read again), `answers` (answers to questions, official result files),
`encoder` (videos and sentences to embeddings), `benchmark` (retrieval over the videos of a published benchmark),
`choices` (multiple choice), `videos` (where those are).
"""
