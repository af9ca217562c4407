"""Chinese-CLIP (arXiv 2211.01335): checkpoints, both towers as ONNX graphs, and proof that they agree."""
