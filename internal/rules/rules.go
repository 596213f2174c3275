// Package rules holds the house rules that a compiler can't: who may import and link what, that
// every package says what it is for, and that nothing happens behind a reader's back. Its tests
// are all there is to it.
package rules
