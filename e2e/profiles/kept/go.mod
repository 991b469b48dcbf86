module leakwarden.dev/e2e/kept

go 1.26.0
