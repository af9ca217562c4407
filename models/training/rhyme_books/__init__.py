"""The rhyme books of `models.prosody`, compiled: run as `python -m models.training.rhyme_books`."""
