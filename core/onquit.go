package core

// OnQuit is what happens to the service and its VMs when the user quits the tray.
type OnQuit string

// The answers.
const (
	OnQuitAsk         OnQuit = "ask"
	OnQuitKeepRunning OnQuit = "keep-running"
	OnQuitStop        OnQuit = "stop"
)

// OnQuit is what the user chose; OnQuitAsk when nothing was, or it can't be read.
func (c *Core) OnQuit() OnQuit {
	settings, _ := c.Settings() // usable with an error, too
	return settings.OnQuit
}

// SetOnQuit remembers what the user chose. The other settings stay as they are.
func (c *Core) SetOnQuit(choice OnQuit) error {
	settings, _ := c.Settings() // usable with an error, too
	settings.OnQuit = choice
	return c.SetSettings(settings)
}
