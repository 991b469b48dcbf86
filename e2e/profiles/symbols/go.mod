module leakwarden.dev/e2e/symbols

go 1.26.0
