package core

import "os"

// closable is not needed: there is no terminal yet.
func closable(*os.File) error { return nil }
