module leakwarden.dev/tests/bench/scale/perobject

go 1.26
