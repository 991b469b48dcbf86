module leakwarden.dev/e2e/profiles

go 1.25.0

require (
	example.org/courier v0.0.0
	golang.org/x/sync v0.17.0
)

// What a service has from others: a module of its own, so that its paths differ from the team's.
replace example.org/courier => ./thirdparty
