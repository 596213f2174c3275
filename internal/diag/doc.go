// Package diag knows the known problems: a pattern, what it means and what mends it; every client shows them.
package diag
