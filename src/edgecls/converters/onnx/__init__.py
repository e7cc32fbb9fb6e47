"""To ONNX, by way of TFLite."""
