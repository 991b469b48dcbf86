"""Go profiles: read them (`pprof`), sum them (`stacks`), know leaks by their shape (`shapes`), name the line (`suspects`)."""
