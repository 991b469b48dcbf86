// Command unseen_rows_branch closes its rows except where it finds what it looks for.
package main

import (
	"context"
	"database/sql"

	_ "example.org/courier/fakedb"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func find(ctx context.Context, db *sql.DB, wanted int64) (bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT id FROM users") //truth:RowsNotClosed main.find
	if err != nil {
		return false, err
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return false, err
		}
		if id == wanted {
			return true, nil
		}
	}
	return false, rows.Close()
}

func main() {
	service.Run(func(string) service.Work {
		db, _ := sql.Open("fakedb", "")
		ctx, cancel := context.WithCancel(context.Background())
		_ = cancel
		return func(context.Context) error {
			for _, id := range []int64{7, 99} {
				if _, err := find(ctx, db, id); err != nil {
					return err
				}
			}
			return nil
		}
	})
}
