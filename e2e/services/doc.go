// Package services holds Go services that really leak, for the end-to-end tests. Every command under cmd is one program with one fault.
package services
