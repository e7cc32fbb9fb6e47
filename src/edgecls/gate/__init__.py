"""Is it still good: a baseline, limits, and what lies between them and now."""
