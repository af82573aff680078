"""Comparison of runs: tables, plots, page. It reads run folders' own files and never needs torch for that."""
