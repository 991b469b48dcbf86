module example.org/courier

go 1.25.0
