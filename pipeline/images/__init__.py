"""Image-text sets: captions and pictures as they are published, made into shards that the trainer reads."""
