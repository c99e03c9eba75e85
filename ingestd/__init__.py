"""The central indexer (中心): verifies, indexes, links, covers, flags and shows what the stations send."""
