"""From samples to batches of tensors on the device.

Files: `batches` turns samples into named tensors, one step ahead, and brings them to the device; `asked` (what
questions about videos add to them), `teacher` (what another model made of them), `tokenizer`.
"""
