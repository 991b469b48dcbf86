// Package profiles is a corpus of small programs, each with one leak or none, whose profiles show how well the line
// that leaks is named. They are run with several Go versions under load on loopback, by `python -m tests.profiles
// build`; the profiles are kept in tests/fixtures/profiles and scored by `python -m tests.profiles score`.
//
// The line that leaks carries a comment, //truth:SHAPE FUNCTION, or //truth:SHAPE/PROGRAM FUNCTION where it is in a
// package that several programs share. It is the innermost line of the team's own code that waits, or that obtains
// what is never given back; where only one caller of a helper forgets it, that caller's. Programs named healthy have
// no such line. Those named unseen were written after everything was tuned, and nothing is tuned on them.
package profiles
