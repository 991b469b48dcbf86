// Package fakedb is a database/sql driver without a database: a query takes two milliseconds and answers 20 rows.
package fakedb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"time"
)

func init() { sql.Register("fakedb", fakeDriver{}) }

type fakeDriver struct{}

func (fakeDriver) Open(string) (driver.Conn, error) { return &conn{buffer: make([]byte, 4096)}, nil }

// conn holds a buffer, as drivers that speak to a server do.
type conn struct{ buffer []byte }

func (c *conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("fakedb: prepare is not supported")
}
func (c *conn) Close() error                       { return nil }
func (c *conn) Begin() (driver.Tx, error)          { return tx{}, nil }
func (c *conn) Ping(context.Context) error         { return nil }
func (c *conn) ResetSession(context.Context) error { return nil }
func (c *conn) IsValid() bool                      { return true }

func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return tx{}, nil }

func (c *conn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	return &rows{}, wait(ctx)
}

func (c *conn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), wait(ctx)
}

func wait(ctx context.Context) error {
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type tx struct{}

func (tx) Commit() error   { return nil }
func (tx) Rollback() error { return nil }

type rows struct{ read int64 }

func (r *rows) Columns() []string { return []string{"id"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.read == 20 {
		return io.EOF
	}
	r.read++
	dest[0] = r.read
	return nil
}
