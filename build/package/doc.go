// Package packages holds no code: it tests the packages that `make package` makes.
package packages
