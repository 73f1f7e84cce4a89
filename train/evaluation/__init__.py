"""What a model has learned: retrieval and the other scores on held-out samples."""
