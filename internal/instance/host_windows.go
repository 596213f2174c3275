package instance

// checkOwner has nothing to look at: an administrator is the same user.
func (Instance) checkOwner() error { return nil }

// CheckUser has nothing to look at: every user has a name.
func CheckUser() error { return nil }
