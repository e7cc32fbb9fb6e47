"""What is in an .mlpackage."""
