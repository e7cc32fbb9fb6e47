"""The nouns: what is written to disk or passed between rooms."""
