// Package packages has only tests, of the packages that `make package` makes.
package packages
