"""Fine-tuning a Chinese-CLIP on pictures and their texts."""
