// Command unseen_rows_queryrow asks for a row only to see whether that fails, and never scans it.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type users struct {
	db   *sql.DB
	life context.Context
}

func (u *users) exists() error {
	return u.db.QueryRowContext(u.life, "SELECT id FROM users").Err() //truth:RowsNotClosed main.(*users).exists
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		life, cancel := context.WithCancel(context.Background())
		_ = cancel
		u := &users{db, life}
		return func(context.Context) error { return u.exists() }
	})
}
