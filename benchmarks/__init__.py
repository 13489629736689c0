"""What the toolkit costs, measured beside a peer: ``python -m benchmarks`` lists the benchmarks."""
