package memdb_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"leakwarden.dev/e2e/services/internal/memdb"
)

func open(t *testing.T, delay string) *sql.DB {
	t.Helper()
	db, err := sql.Open("memdb", delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestRowsReadToTheirEndGiveTheirConnectionBack(t *testing.T) {
	t.Parallel()
	db := open(t, "1ms")
	rows, err := db.Query("SELECT id FROM orders")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if used := db.Stats().InUse; used != 1 {
		t.Errorf("%d connections in use before the end, want 1", used)
	}
	count := 0
	for rows.Next() {
		count++
	}
	if count != memdb.Rows || rows.Err() != nil || db.Stats().InUse != 0 {
		t.Errorf("%d rows, %v, %d connections in use", count, rows.Err(), db.Stats().InUse)
	}
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	rows, err := open(t, "1h").QueryContext(ctx, "SELECT id FROM orders")
	if err == nil {
		rows.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
}
