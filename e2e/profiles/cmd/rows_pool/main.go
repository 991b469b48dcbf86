// Command rows_pool forgets rows until its pool is empty; then every request waits for a connection.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func hasOrders(db *sql.DB) (bool, error) {
	rows, err := db.Query("SELECT id FROM orders") //truth:RowsNotClosed main.hasOrders
	if err != nil {
		return false, err
	}
	return rows.Next(), nil
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		db.SetMaxOpenConns(50)
		return func(context.Context) error { _, err := hasOrders(db); return err }
	})
}
