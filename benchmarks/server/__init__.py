"""The registry server beside its peers; `python -m benchmarks.server` prints the table of docs/performance.md."""
