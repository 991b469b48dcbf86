// Command unseen_transport_signed makes a client with a signing transport for every verification.
package main

import (
	"leakwarden.dev/e2e/profiles/internal/auth"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func main() {
	service.Run(func(upstream string) service.Work { return auth.Verifier{URL: upstream + "/page"}.Verify })
}
