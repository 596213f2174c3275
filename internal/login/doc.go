// Package login starts RDD at login, in the scope of the user; the core calls it.
package login
