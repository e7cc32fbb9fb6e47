"""To TFLite."""
