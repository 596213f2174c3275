package datastore

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
)

// statementLimit is how many prepared statements a connection keeps. kine has some
// twenty queries; only lists with a limit have a text of their own for each limit.
const statementLimit = 32

// preparingConnector opens connections to SQLite that prepare each query once. SQLite
// needs three times as long to compile one of kine's queries as to run it.
type preparingConnector struct{ driver.Connector }

func (c preparingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparingConn{sqliteConn: conn.(sqliteConn), statements: map[string]statement{}}, nil
}

// sqliteConn is what database/sql uses of a connection to SQLite.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// preparingConn keeps the statements that it prepared, by their text, until it is
// closed. Nobody may run a query while the rows of the same query are being read on the
// same connection, as database/sql allows in a transaction; kine doesn't.
type preparingConn struct {
	sqliteConn
	statements map[string]statement
}

func (c *preparingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	return s.QueryContext(ctx, args)
}

func (c *preparingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// statement returns the prepared query, or nil if the connection keeps enough of them.
// The planner looks at the values of bare parameters, and SQLite then compiles the query
// again for other values. It doesn't look behind a plus, which changes nothing else.
func (c *preparingConn) statement(ctx context.Context, query string) (statement, error) {
	if s := c.statements[query]; s != nil {
		return s, nil
	}
	if len(c.statements) == statementLimit {
		return nil, nil
	}
	prepared, err := c.PrepareContext(ctx, strings.ReplaceAll(query, "?", "+?"))
	if err != nil {
		return nil, err
	}
	s := prepared.(statement)
	c.statements[query] = s
	return s, nil
}

// Close closes the statements first: SQLite would keep the file open for them.
func (c *preparingConn) Close() error {
	var failed error
	for _, s := range c.statements {
		failed = errors.Join(failed, s.Close())
	}
	clear(c.statements)
	return errors.Join(failed, c.sqliteConn.Close())
}
