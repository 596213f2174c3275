package page

import (
	"time"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
	"rancherdesktop.io/rdd/core/template"
)

// Problem is why a call failed.
type Problem = operation.Problem

// VM is a virtual machine as the page shows it.
type VM struct {
	Name          string              `json:"name"`
	State         string              `json:"state"`   // see core.Describe
	Running       bool                `json:"running"` // the desired state
	Progress      *operation.Progress `json:"progress,omitempty"`
	Problem       string              `json:"problem,omitempty"`   // why the VM is not in its desired state, or what does not work
	Advice        string              `json:"advice,omitempty"`    // what a known problem means, and how to fix it
	Permanent     bool                `json:"permanent,omitempty"` // RDD does not retry
	Acceleration  string              `json:"acceleration"`
	Restarts      int                 `json:"restarts"`
	Created       time.Time           `json:"created"`
	SSHPort       int                 `json:"sshPort,omitempty"`
	CanEnter      bool                `json:"canEnter"`      // a shell can be opened
	RestartNeeded []string            `json:"restartNeeded"` // settings that the running guest does not have yet, as text
}

// Settings are the settings of the core, and what starts at login, which the system stores.
type Settings struct {
	core.Settings
	StartAtLogin bool `json:"startAtLogin"`
	TrayAtLogin  bool `json:"trayAtLogin"`
}

// State is everything that the page shows without a call. Each change pushes all of it.
type State struct {
	Instance   string                `json:"instance"`
	Instances  []string              `json:"instances"`
	Version    string                `json:"version"`
	Host       core.Host             `json:"host"`
	Service    core.ServiceStatus    `json:"service"`
	App        *App                  `json:"app,omitempty"` // nil: there is none yet
	VMs        []VM                  `json:"vms"`
	VMsKnown   bool                  `json:"vmsKnown"`
	Error      *Problem              `json:"error,omitempty"` // why something is missing
	Operations []operation.Operation `json:"operations"`
	Question   *operation.Question   `json:"question,omitempty"`
	Settings   Settings              `json:"settings"`
	Login      []core.LoginStatus    `json:"login"`
	ReadOnly   bool                  `json:"readOnly"`
}

// Usage is what a VM or the service uses of the host.
type Usage struct {
	core.Stats
	CPU float64 `json:"cpu"` // processors in use since the last call
}

// FieldProblem says what is wrong with one field of a form.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Finding is a finding of the diagnosis with the repair that the page offers.
type Finding struct {
	diagnose.Finding
	Repair string `json:"repair,omitempty"` // its label; empty: there is no safe repair
}

// Report is the report of a diagnosis, with repairs.
type Report struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	Findings []Finding `json:"findings"`
}

// Stream is data of a log or a shell.
type Stream struct {
	ID      string   `json:"id"`
	Data    string   `json:"data,omitempty"`
	End     bool     `json:"end,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// Ref names the operation that a call began.
type Ref struct {
	Operation string `json:"operation"`
}

// Undo names the operation that undoes a canceled one; empty if only the wait has ended.
type Undo struct {
	Operation string `json:"operation,omitempty"`
}

// ObjectRef names an object of the engine that a call created.
type ObjectRef struct {
	Object string `json:"object"`
}

// StreamRef names the stream that a call opened.
type StreamRef struct {
	Stream string `json:"stream"`
}

// Text is a template, or a file of a bundle.
type Text struct {
	Text string `json:"text"`
}

// VersionedText is the template of a VM. A change has to name its version.
type VersionedText struct {
	Text    string `json:"text"`
	Version string `json:"version"`
}

// BundlePreview is the contents of a bundle.
type BundlePreview struct {
	Bundle     string                `json:"bundle"`
	Files      []diagnose.BundleFile `json:"files"`
	Redactions int                   `json:"redactions"`
}

// Path is the path of a file.
type Path struct {
	Path string `json:"path"`
}

// The parameters of the methods.
type (
	nothing struct{}
	// NameParams names a VM, or an instance.
	NameParams struct {
		Name string `json:"name"`
	}
	// IDParams names an operation, a finding's repair, or an object of the engine.
	IDParams struct {
		ID string `json:"id"`
	}
	// StopParams is a stop or restart of a VM.
	StopParams struct {
		Name  string `json:"name"`
		Force bool   `json:"force,omitempty"`
	}
	// ForceParams is a stop, restart, reset or deletion of the App.
	ForceParams struct {
		Force bool `json:"force,omitempty"`
	}
	// IDsParams names containers or networks.
	IDsParams struct {
		IDs []string `json:"ids"`
	}
	// DeleteContainersParams is a deletion of containers. Force also deletes those that run; Volumes, their anonymous volumes.
	DeleteContainersParams struct {
		IDs     []string `json:"ids"`
		Force   bool     `json:"force,omitempty"`
		Volumes bool     `json:"volumes,omitempty"`
	}
	// DeleteVolumesParams is a deletion of volumes.
	DeleteVolumesParams struct {
		Names []string `json:"names"`
		Force bool     `json:"force,omitempty"`
	}
	// ContainerLogParams is a part of a container's log: the last Tail lines, or all if that is negative, and with Follow what
	// comes.
	ContainerLogParams struct {
		ID         string `json:"id"`
		Tail       int    `json:"tail"`
		Timestamps bool   `json:"timestamps,omitempty"`
		Follow     bool   `json:"follow,omitempty"`
	}
	// SaveLogParams is a log that the page shows, and the name of the file for it.
	SaveLogParams struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
	// ContainerShellParams is a terminal in a container, with a shell if no command is named.
	ContainerShellParams struct {
		ID      string   `json:"id"`
		Command []string `json:"command,omitempty"`
		User    string   `json:"user,omitempty"`
		TerminalSize
	}
	// ContainerPathParams names a file or folder of a container.
	ContainerPathParams struct {
		ID   string `json:"id"`
		Path string `json:"path"`
	}
	// ContainerDownloadParams is a download to a new file; without its path, to the folder for downloads.
	ContainerDownloadParams struct {
		ContainerPathParams
		To string `json:"to,omitempty"`
	}
	// VolumePathParams names a file or folder of a volume.
	VolumePathParams struct {
		Name string `json:"name"`
		Path string `json:"path"`
	}
	// VolumeDownloadParams is a download to a new file; without its path, to the folder for downloads.
	VolumeDownloadParams struct {
		VolumePathParams
		To string `json:"to,omitempty"`
	}
	// VolumeParams is a new volume. Without a name, the engine chooses one.
	VolumeParams struct {
		Name   string            `json:"name"`
		Driver string            `json:"driver,omitempty"`
		Labels map[string]string `json:"labels,omitempty"`
	}
	// NetworkParams is a new network.
	NetworkParams struct {
		Name     string `json:"name"`
		Driver   string `json:"driver,omitempty"`
		Subnet   string `json:"subnet,omitempty"`
		Internal bool   `json:"internal,omitempty"`
	}
	// RestoreParams names a backup.
	RestoreParams struct {
		Backup string `json:"backup"`
	}
	// LocatorParams names a template.
	LocatorParams struct {
		Locator string `json:"locator"`
	}
	// SourceParams is a template. Text replaces the text of Locator.
	SourceParams struct {
		Locator string `json:"locator"`
		Text    string `json:"text,omitempty"`
	}
	// TextParams is a VM's new template.
	TextParams struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
	// CancelParams names an operation to cancel. Delete deletes the VM that the operation has created.
	CancelParams struct {
		ID     string `json:"id"`
		Delete bool   `json:"delete,omitempty"`
	}
	// CheckParams is a new VM to check. Text replaces the text of Template.
	CheckParams struct {
		Name      string              `json:"name"`
		Template  string              `json:"template"`
		Text      string              `json:"text,omitempty"`
		Resources *template.Resources `json:"resources,omitempty"`
		Params    map[string]string   `json:"params,omitempty"`
	}
	// CreateParams is a new VM to create.
	CreateParams struct {
		CheckParams
		Start bool `json:"start"`
	}
	// SetTemplateParams is a VM's new template, and the version that it replaces.
	SetTemplateParams struct {
		TextParams
		Version string `json:"version"`
	}
	// SetResourcesParams is a VM's new resources.
	SetResourcesParams struct {
		Name      string             `json:"name"`
		Resources template.Resources `json:"resources"`
	}
	// SetParamsParams is a change of a VM's params.
	SetParamsParams struct {
		Name   string            `json:"name"`
		Set    map[string]string `json:"set"`
		Remove []string          `json:"remove"`
	}
	// BackgroundParams hides an operation's dialog, or shows it again.
	BackgroundParams struct {
		ID         string `json:"id"`
		Background bool   `json:"background"`
	}
	// AnswerParams answers the question of an operation.
	AnswerParams struct {
		ID     string           `json:"id"`
		Answer operation.Answer `json:"answer"`
	}
	// TerminalSize is the size of a shell's terminal.
	TerminalSize struct {
		Cols int `json:"cols"`
		Rows int `json:"rows"`
	}
	// ShellParams is a shell in a VM.
	ShellParams struct {
		NameParams
		TerminalSize
	}
	// WriteParams is input for a shell.
	WriteParams struct {
		StreamParams
		Data string `json:"data"`
	}
	// ResizeParams is the new size of a shell's terminal.
	ResizeParams struct {
		StreamParams
		TerminalSize
	}
	// StreamParams names a stream.
	StreamParams struct {
		Stream string `json:"stream"`
	}
	// BundleFileParams names a file of a bundle.
	BundleFileParams struct {
		Bundle string `json:"bundle"`
		Name   string `json:"name"`
	}
	// BundleSaveParams is a bundle to save; without a path, into the home directory.
	BundleSaveParams struct {
		Bundle string `json:"bundle"`
		Path   string `json:"path,omitempty"`
	}
)
