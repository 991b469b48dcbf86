"""`make demo`: a leaking service is found, evicted and verified, before your eyes and on real components."""
