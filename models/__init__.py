"""What is learned, and what poems obey: bundles, encoders, poets and prosody."""
