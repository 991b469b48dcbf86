// Command rows_repo uses a generic repository that leaves its rows open, from two handlers.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
	"leakwarden.dev/e2e/profiles/internal/store"
)

type row struct{ id int64 }

func readRow(s store.Scanner) (row, error) {
	var r row
	return r, s.Scan(&r.id)
}

func show(r store.Repo[row]) (row, error) { return r.First(context.Background(), "SELECT id FROM a") }

func list(r store.Repo[row]) (row, error) { return r.First(context.Background(), "SELECT id FROM b") }

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		repo := store.Repo[row]{DB: db, Read: readRow}
		return func(context.Context) error {
			if _, err := show(repo); err != nil {
				return err
			}
			_, err := list(repo)
			return err
		}
	})
}
