"""Is it fast: latency, throughput, and whether they are a fair comparison."""
