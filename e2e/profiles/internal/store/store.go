// Package store is a team's own layer over database/sql.
package store

import (
	"context"
	"database/sql"
	"errors"
)

// Scanner reads one row.
type Scanner interface{ Scan(dest ...any) error }

// Repo reads values of one kind.
type Repo[T any] struct {
	DB   *sql.DB
	Read func(Scanner) (T, error)
}

// First returns the first row of a query, and leaves the others unread.
func (r Repo[T]) First(ctx context.Context, query string) (T, error) {
	var none T
	rows, err := r.DB.QueryContext(ctx, query) //truth:RowsNotClosed/rows_repo leakwarden.dev/e2e/profiles/internal/store.Repo[...].First
	if err != nil {
		return none, err
	}
	if !rows.Next() {
		return none, sql.ErrNoRows
	}
	return r.Read(rows)
}

// ErrRefused ends a transaction.
var ErrRefused = errors.New("store: refused")

// InTx runs fn in a transaction, and forgets the transaction when fn fails.
func InTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil) //truth:TransactionNotFinished/tx_closure leakwarden.dev/e2e/profiles/internal/store.InTx
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
