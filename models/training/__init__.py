"""Corpus, datasets, training and export: the only place that imports PyTorch."""
