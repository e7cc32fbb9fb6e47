"""What is in an .onnx."""
