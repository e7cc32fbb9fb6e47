"""Pruning, clustering and quantization-aware training of flat tf_keras models."""
