"""`make demo`: a leaking service is found, evicted and verified, visibly and on real components."""
