"""Image-text sets: published captions and pictures, made into shards that the trainer reads."""
