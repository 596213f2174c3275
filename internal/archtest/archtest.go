// Package archtest tests the structure of the code: who may import and link what, that every package
// has a comment, and that nothing runs at init or reads the environment where it must not.
package archtest
