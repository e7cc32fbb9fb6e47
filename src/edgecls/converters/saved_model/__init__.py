"""SavedModel: the frozen graph with signatures for services, and the image contract computed inside."""
