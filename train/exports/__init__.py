"""Models as files for others, and inference with them."""
