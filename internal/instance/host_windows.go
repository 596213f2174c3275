package instance

// checkOwner accepts every user: on Windows, an administrator is the same user.
func (Instance) checkOwner() error { return nil }

// CheckUser accepts every user: on Windows, each has a name.
func CheckUser() error { return nil }
