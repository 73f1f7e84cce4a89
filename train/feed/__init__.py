"""From samples to batches of tensors on the device.

Files: `batches` turns samples into named tensors, one step ahead (`prefetch`), and brings them to the device
(`copies`); `tokenizer`.
"""
