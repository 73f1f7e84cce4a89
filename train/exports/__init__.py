"""Models as files for others, and inference with them.

Files: `export`, `image_text_export`, `vit_export`, `export_folder` (what all write); `carried_code` and `auto_model`
(for transformers), `onnx_files`; `inference`.
"""
