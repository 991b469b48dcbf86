"""Go profiles: read them (`pprof`), sum them (`stacks`), find leaks by shape (`shapes`), name the line (`suspects`)."""
