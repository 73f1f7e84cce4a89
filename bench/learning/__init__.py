"""Proofs of learning: sets with known attributes, and whether a trained model tells them apart."""
