"""Where is it lost: what each layer of a quantized file adds to the error."""
