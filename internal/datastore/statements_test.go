package datastore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"testing"
)

// counted counts the queries that a connection compiles.
type counted struct {
	sqliteConn
	compiled map[string]int
}

func (c counted) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.compiled[query]++
	return c.sqliteConn.PrepareContext(ctx, query)
}

func TestConnectionCompilesAQueryOnce(t *testing.T) {
	_, _, connector := database(t, "")
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]int{}
	c := &preparingConn{counted{conn.(sqliteConn), compiled}, map[string]statement{}}
	read := func(query string, id int64) {
		t.Helper()
		rows, err := c.QueryContext(t.Context(), query, []driver.NamedValue{{Ordinal: 1, Value: id}})
		if err != nil {
			t.Fatal(err)
		}
		row := make([]driver.Value, len(rows.Columns()))
		if err := rows.Next(row); err != nil || row[0] != id {
			t.Errorf("%s: %v, %v", query, row, err)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for id := range int64(3) {
		read("SELECT ?", id)
	}
	if len(compiled) != 1 || compiled["SELECT +?"] != 1 {
		t.Errorf("compiled: %v", compiled)
	}
	for n := range 2 * statementLimit { // those of lists differ in their limits
		read(fmt.Sprintf("SELECT ? LIMIT %d", n+1), 1)
	}
	if len(c.statements) != statementLimit {
		t.Errorf("%d statements are kept", len(c.statements))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
