// Command tx_closure uses a helper for transactions that forgets them when the closure fails.
package main

import (
	"context"
	"database/sql"
	"errors"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
	"leakwarden.dev/e2e/profiles/internal/store"
)

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		return func(context.Context) error {
			err := store.InTx(context.Background(), db, func(tx *sql.Tx) error {
				if _, err := tx.Exec("UPDATE a SET b = 1"); err != nil {
					return err
				}
				return store.ErrRefused
			})
			if errors.Is(err, store.ErrRefused) {
				return nil
			}
			return err
		}
	})
}
