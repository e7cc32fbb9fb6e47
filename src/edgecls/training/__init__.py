"""The loop that fine-tuning shares: images, losses, steps, checkpoints."""
