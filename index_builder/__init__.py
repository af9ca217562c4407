"""The index of imagery words (意象): keyword lists, vectors, search, and the artifact on disk."""
