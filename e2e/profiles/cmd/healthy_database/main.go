// Command healthy_database uses a pool of 20 connections under load, with rows and transactions that end.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func total(ctx context.Context, db *sql.DB) (int64, error) {
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var sum, id int64
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
		sum += id
	}
	return sum, rows.Err()
}

func book(ctx context.Context, db *sql.DB, amount int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "UPDATE ledger SET n = n + ?", amount); err != nil {
		return err
	}
	return tx.Commit()
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		db.SetMaxOpenConns(20)
		return func(ctx context.Context) error {
			sum, err := total(ctx, db)
			if err != nil {
				return err
			}
			return book(ctx, db, sum)
		}
	})
}
