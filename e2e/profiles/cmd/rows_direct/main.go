// Command rows_direct reads one row of a query under a context that outlives the request, and closes nothing.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type orders struct {
	db   *sql.DB
	life context.Context
}

func (o *orders) newest() (int64, error) {
	rows, err := o.db.QueryContext(o.life, "SELECT id FROM orders") //truth:RowsNotClosed main.(*orders).newest
	if err != nil {
		return 0, err
	}
	var id int64
	rows.Next()
	return id, rows.Scan(&id)
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		life, cancel := context.WithCancel(context.Background())
		_ = cancel
		o := &orders{db, life}
		return func(context.Context) error { _, err := o.newest(); return err }
	})
}
