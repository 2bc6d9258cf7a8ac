"""Words everyone shares: ids and URNs, clock, canonical JSON, digests, errors. No I/O."""
