// Package archtest tests the structure of the code: which packages may import and link which, that every package
// has a comment, and that nothing runs at init or reads the environment where it must not.
package archtest
