"""Running it: kept results, sweeps that resume, and where each number comes from."""
