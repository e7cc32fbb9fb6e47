"""To Core ML."""
