"""Reads SavedModels that edgecls made, without TensorFlow."""
