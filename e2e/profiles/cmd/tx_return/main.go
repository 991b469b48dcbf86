// Command tx_return leaves a transaction open where a check fails.
package main

import (
	"context"
	"database/sql"
	"errors"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

var errStock = errors.New("out of stock")

type checkout struct{ db *sql.DB }

func (c checkout) place(ctx context.Context, wanted int) error {
	tx, err := c.db.BeginTx(ctx, nil) //truth:TransactionNotFinished main.checkout.place
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE stock SET n = n - 1"); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if wanted > 10 {
		return errStock
	}
	return tx.Commit()
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		c, n := checkout{db}, 0
		return func(context.Context) error {
			n++
			if err := c.place(context.Background(), n%20); !errors.Is(err, errStock) {
				return err
			}
			return nil
		}
	})
}
