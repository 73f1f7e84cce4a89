"""The towers of CLIP, SigLIP and DINOv2 from local folders, and a hybrid video encoder on top of them.

Files: `shapes` (what a tower is), `towers` (the networks), `layouts` (tables of keys), `hf_config` (configurations),
`folders` (reading and writing a folder of towers), `model` (the hybrid encoder), `configs` and `kind` (its section,
registration and first weights).
"""
