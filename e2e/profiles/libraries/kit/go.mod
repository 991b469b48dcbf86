module example.org/harbour/kit

go 1.25.0
