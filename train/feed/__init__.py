"""From samples to batches of tensors on the device."""
