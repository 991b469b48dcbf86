// Package memdb is a database in this process, registered with database/sql as "memdb". It has one table of orders
// and takes as long over a query as the data source name says ("3ms"), or until the query's context ends. The pool
// in front of it is database/sql's own, and so is everything that can go wrong with that.
package memdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"
)

// Rows is how many orders every query returns, as one column "id".
const Rows = 20

var errReadOnly = errors.New("memdb: only queries are supported")

func init() { sql.Register("memdb", memDriver{}) }

type memDriver struct{}

func (memDriver) Open(dsn string) (driver.Conn, error) {
	delay, err := time.ParseDuration(dsn)
	if err != nil {
		return nil, fmt.Errorf("memdb: the data source name is the time a query takes: %w", err)
	}
	return &conn{delay: delay}, nil
}

type conn struct{ delay time.Duration }

func (c *conn) Begin() (driver.Tx, error)              { return nil, errReadOnly }
func (c *conn) Prepare(string) (driver.Stmt, error)    { return nil, errReadOnly }
func (c *conn) Close() error                           { return nil }
func (c *conn) Ping(ctx context.Context) error         { return c.wait(ctx) }
func (c *conn) ResetSession(ctx context.Context) error { return ctx.Err() }

func (c *conn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	return &rows{}, nil
}

func (c *conn) wait(ctx context.Context) error {
	timer := time.NewTimer(c.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type rows struct{ read int64 }

func (r *rows) Columns() []string { return []string{"id"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.read == Rows {
		return io.EOF
	}
	r.read++
	dest[0] = r.read
	return nil
}
