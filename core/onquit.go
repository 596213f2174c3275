package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// OnQuit is what happens to the service and its VMs when the user quits the tray.
type OnQuit string

// The answers.
const (
	OnQuitAsk         OnQuit = "ask"
	OnQuitKeepRunning OnQuit = "keep-running"
	OnQuitStop        OnQuit = "stop"
)

const onQuitKey = "onQuit"

// OnQuit is what the user chose; OnQuitAsk when nothing was, or it can't be read.
func (c *Core) OnQuit() OnQuit {
	settings, err := c.settings()
	var chosen OnQuit
	if err != nil || json.Unmarshal(settings[onQuitKey], &chosen) != nil {
		return OnQuitAsk
	}
	switch chosen {
	case OnQuitKeepRunning, OnQuitStop:
		return chosen
	case OnQuitAsk:
	}
	return OnQuitAsk
}

// SetOnQuit remembers what the user chose. The other settings stay as they are.
func (c *Core) SetOnQuit(choice OnQuit) error {
	const op = "change the settings of"
	settings, err := c.settings()
	if err != nil {
		return failed(op, c.inst.Name, err)
	}
	settings[onQuitKey], _ = json.Marshal(choice) // a string always can be
	text, err := json.MarshalIndent(settings, "", "  ")
	if err == nil {
		err = atomicfile.Write(c.inst.SettingsFile(), text)
	}
	return failed(op, c.inst.Name, err)
}

// settings are all that were saved, by name.
func (c *Core) settings() (map[string]json.RawMessage, error) {
	settings := map[string]json.RawMessage{}
	text, err := atomicfile.Read(c.inst.SettingsFile())
	if errors.Is(err, os.ErrNotExist) {
		return settings, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &settings)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.inst.SettingsFile(), err)
	}
	return settings, nil
}
