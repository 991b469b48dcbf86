// Command rowsleak reads the first row of a query and never closes the rows. Each request keeps a connection of
// the pool; when the pool is empty, requests wait for a connection until their time is up. Descriptors stay flat:
// the database is in this process.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	_ "leakwarden.dev/e2e/services/internal/memdb"
	"leakwarden.dev/e2e/services/internal/service"
)

type orders struct {
	cfg service.Config
	db  *sql.DB
}

const newest = "SELECT id FROM orders ORDER BY id"

// leaking returns with the first row. Rows that are read to their end close themselves, these stay open.
func (o orders) leaking(ctx context.Context) (string, error) {
	rows, err := o.query(ctx)
	if err != nil {
		return "", err
	}
	// The fault: no rows.Close() on this path.
	return firstID(rows)
}

// fixed gives the connection back.
func (o orders) fixed(ctx context.Context) (string, error) {
	rows, err := o.query(ctx)
	if err != nil {
		return "", err
	}
	defer rows.Close() // the repair
	return firstID(rows)
}

// query bounds the wait for a connection and for the first row, not the reading of the rows: a context that ends
// later would make database/sql close forgotten rows by itself.
func (o orders) query(ctx context.Context) (*sql.Rows, error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := time.AfterFunc(o.cfg.UpstreamTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	rows, err := o.db.QueryContext(ctx, newest)
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if cause != nil {
			return nil, fmt.Errorf("no answer from the database within %s: %w", o.cfg.UpstreamTimeout, cause)
		}
		return nil, err
	}
	return rows, nil
}

func firstID(rows *sql.Rows) (string, error) {
	var id int64
	if !rows.Next() {
		return "none", rows.Err()
	}
	if err := rows.Scan(&id); err != nil {
		return "", err
	}
	return fmt.Sprintf("order %d", id), nil
}

func main() {
	maxOpen, queryTime := 100, 3*time.Millisecond
	service.Main(service.Program{
		Name:  "rowsleak",
		About: "queries a database and never closes the rows",
		// A pool is small next to a descriptor limit: 100 connections at 5 requests/s would be gone in 20 s.
		Defaults: service.Defaults{LeakEvery: 5},
		Flags: func(fs *flag.FlagSet) {
			fs.IntVar(&maxOpen, "max-open", maxOpen, "connections in the pool")
			fs.DurationVar(&queryTime, "query-time", queryTime, "what a query takes")
		},
		New: func(cfg service.Config, m *service.Metrics) (service.Forms, error) {
			if maxOpen < 1 {
				return service.Forms{}, fmt.Errorf("-max-open is %d, must be 1 or more: 0 would be a pool without an end", maxOpen)
			}
			db, err := sql.Open("memdb", queryTime.String())
			if err != nil {
				return service.Forms{}, err
			}
			db.SetMaxOpenConns(maxOpen)
			db.SetMaxIdleConns(4)
			m.Registry.MustRegister(collectors.NewDBStatsCollector(db, "orders"))
			o := orders{cfg, db}
			return service.Forms{Leaking: o.leaking, Fixed: o.fixed, Close: func() { db.Close() }}, nil
		},
	})
}
