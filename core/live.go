package core

// LiveVMs names the virtual machines that run now, whether a service does or not: locks say so. It changes
// nothing.
func (c *Core) LiveVMs() (names []string) {
	for _, vm := range c.filesOfVMs() {
		if lives(vm) {
			names = append(names, vm.Name)
		}
	}
	return names
}
