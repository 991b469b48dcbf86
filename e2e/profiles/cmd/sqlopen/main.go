// Command sqlopen opens a pool for every request.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func connect() (*sql.DB, error) {
	return sql.Open("fakedb", "") //truth:PoolPerRequest main.connect
}

func ping(ctx context.Context) error {
	db, err := connect()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}

func main() {
	service.Run(func(string) service.Work { return ping })
}
