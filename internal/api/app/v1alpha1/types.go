// Package v1alpha1 defines the App kind: the desired state of the container desktop, and its observed state.
// The core, the control plane and the controllers share it. An App is made of a LimaVM, so their statuses share types.
// +kubebuilder:object:generate=true
// +groupName=app.rancherdesktop.io
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// GroupVersion is the API group and version of App.
var GroupVersion = schema.GroupVersion{Group: "app.rancherdesktop.io", Version: "v1alpha1"}

// Names of the App resource, of its one object, and of the VM that it owns.
const (
	Kind     = "App"
	Resource = "apps"
	Name     = "app"
	VM       = "rd"
	// Controller is the name of the controller that works on it.
	Controller = "app"
	// Finalizer keeps the App until its VM, its data disk and its docker context are removed.
	Finalizer = "app.rancherdesktop.io/app"
)

// App is the container desktop of this instance: a virtual machine with a container engine. It is cluster-scoped, and
// there is only one, named app.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=apps,singular=app
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'app'",message="the only App is named app"
// +kubebuilder:printcolumn:name="Engine",type=string,JSONPath=`.spec.containerEngine.name`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.engine.version`
// +kubebuilder:printcolumn:name="Running",type=string,JSONPath=`.status.conditions[?(@.type=="Running")].status`
// +kubebuilder:printcolumn:name="Settled",type=string,JSONPath=`.status.conditions[?(@.type=="Settled")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Settled")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type App struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:default={}
	Spec   AppSpec   `json:"spec,omitzero"`
	Status AppStatus `json:"status,omitempty"`
}

// AppList is a list of Apps.
// +kubebuilder:object:root=true
type AppList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []App `json:"items"`
}

// AppSpec is what the user asks for.
type AppSpec struct {
	// Running says whether the virtual machine and the container engine should run. Default: false.
	// +optional
	// +kubebuilder:default=false
	Running bool `json:"running"`

	// RestartedAt asks for one restart each time it is set to a new value, by
	// convention the time of asking, in RFC 3339 with microseconds.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// ResetAt asks for a new system disk each time it is set to a new value, by
	// convention the time of asking. Images, containers and volumes are kept.
	// +optional
	ResetAt *metav1.MicroTime `json:"resetAt,omitempty"`

	// StopMode says how the virtual machine is stopped. Graceful, the default,
	// lets the guest shut down. Force powers it off; what it has not yet written
	// to its disk is lost.
	// +optional
	// +kubebuilder:default=Graceful
	StopMode lima.StopMode `json:"stopMode,omitempty"`

	// ContainerEngine is the engine that runs containers.
	// +optional
	// +kubebuilder:default={}
	ContainerEngine ContainerEngine `json:"containerEngine,omitzero"`

	// VirtualMachine is the size of the virtual machine. A change restarts it.
	// +optional
	// +kubebuilder:default={}
	VirtualMachine VirtualMachine `json:"virtualMachine,omitzero"`

	// Ports says on which addresses of this host containers may publish ports.
	// +optional
	// +kubebuilder:default={}
	Ports Ports `json:"ports,omitzero"`

	// Kubernetes runs a cluster in the virtual machine.
	// +optional
	// +kubebuilder:default={}
	Kubernetes Kubernetes `json:"kubernetes,omitzero"`
}

// EngineName is the name of a container engine.
// +kubebuilder:validation:Enum=moby;containerd
type EngineName string

// The container engines.
const (
	Moby       EngineName = "moby"
	Containerd EngineName = "containerd"
)

// ContainerEngine is the engine that runs containers.
type ContainerEngine struct {
	// Name of the engine: moby (for docker) or containerd (for nerdctl). Each
	// engine has its own images and containers. Default: moby.
	// +optional
	// +kubebuilder:default=moby
	Name EngineName `json:"name,omitempty"`

	// When the docker context of this App becomes docker's current one. Auto: at
	// a start, if the current one is missing, or is a unix socket that is missing or
	// refuses connections; without a current one, docker's default socket counts.
	// Always: at each start. Never: only if you choose it. Default: Auto.
	// +optional
	// +kubebuilder:default=Auto
	DockerContext DockerContextMode `json:"dockerContext,omitempty"`
}

// DockerContextMode says when the docker context of the App becomes the current one.
// +kubebuilder:validation:Enum=Auto;Always;Never
type DockerContextMode string

// The modes of the docker context.
const (
	DockerContextAuto   DockerContextMode = "Auto"
	DockerContextAlways DockerContextMode = "Always"
	DockerContextNever  DockerContextMode = "Never"
)

// VirtualMachine is the size of the virtual machine and what it shares with this host.
type VirtualMachine struct {
	// Number of processors. Default: half of the host's, at least 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	CPUs int32 `json:"cpus,omitempty"`

	// Size of the memory, for example 4Gi; at least 1Gi. Default: a quarter of the
	// host's, at least 2Gi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="must be at least 1Gi"
	Memory *resource.Quantity `json:"memory,omitempty"`

	// Largest size of the data disk, which holds images, containers and volumes.
	// It grows as needed and never shrinks. Default: 100Gi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('4Gi')) >= 0",message="must be at least 4Gi"
	Disk *resource.Quantity `json:"disk,omitempty"`

	// Folders of this host that containers can use. Default: the home directory,
	// writable.
	// +optional
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=32
	Mounts []Mount `json:"mounts,omitempty"`
}

// Mount is a folder of this host that has the same path in the virtual machine.
type Mount struct {
	// Path on this host, absolute or beginning with ~.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path"`

	// Writable lets containers change the folder. Default: false.
	// +optional
	Writable bool `json:"writable,omitempty"`
}

// Ports says where containers may publish ports.
type Ports struct {
	// Addresses of this host, beside 127.0.0.1 and ::1, on which ports may be
	// published if a container asks for them. 0.0.0.0 or :: allows
	// all of that family. Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, isIP(a))",message="must be IP addresses"
	BindAddresses []string `json:"bindAddresses,omitempty"`
}

// Kubernetes runs a cluster in the virtual machine.
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled",message="Kubernetes is not available in this version of RDD; leave it off"
// +kubebuilder:validation:XValidation:rule="!has(self.version) || size(self.version) == 0",message="Kubernetes is not available in this version of RDD, so it can't have a version; leave it out"
type Kubernetes struct {
	// Not available yet, so only false is accepted: whether a cluster runs in the
	// virtual machine. Default: false.
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled,omitempty"`

	// Not available yet, so no value is accepted: the version of Kubernetes, for
	// example 1.36.2. Default: the newest.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
}

// AppStatus is what is known of the App.
type AppStatus struct {
	// ObservedGeneration is the newest metadata.generation that this status has
	// taken into account.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Created (the virtual machine exists), Running (it has booted),
	// ContainerEngineReady (the engine answers), Settled (everything is as the
	// spec says). Unknown means changing; False with a reason that ends in Failed
	// means that waiting can't help.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Progress is the step under way, counted from the first step of the virtual
	// machine to the first answer of the engine; absent when nothing is.
	// +optional
	Progress *lima.Progress `json:"progress,omitempty"`

	// RestartedAt is the newest spec.restartedAt that was carried out.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// ResetAt is the newest spec.resetAt that was carried out.
	// +optional
	ResetAt *metav1.MicroTime `json:"resetAt,omitempty"`

	// VirtualMachine is the size that the next start uses: the spec with its defaults.
	// +optional
	VirtualMachine *VirtualMachine `json:"virtualMachine,omitempty"`

	// Engine is the engine that runs; absent while none answers.
	// +optional
	Engine *EngineStatus `json:"engine,omitempty"`

	// Ports are the ports of this host that are forwarded, or should be.
	// +optional
	// +listType=atomic
	Ports []lima.Port `json:"ports,omitempty"`

	// Disk is the use of the data disk, as of the last minutes.
	// +optional
	Disk *lima.Disk `json:"disk,omitempty"`

	// DockerContext is the name of the docker context of this App; absent while
	// it does not exist.
	// +optional
	DockerContext string `json:"dockerContext,omitempty"`

	// Problems are what does not work while the App runs, one sentence or more
	// each. Absent while everything works.
	// +optional
	// +listType=atomic
	Problems []string `json:"problems,omitempty"`

	// KnownProblem is the ID of the known problem that the last failure is;
	// docs/diagnose.md lists them. Absent when there is none.
	// +optional
	KnownProblem string `json:"knownProblem,omitempty"`
}

// EngineStatus is the engine that runs.
type EngineStatus struct {
	// Name of the engine.
	Name EngineName `json:"name"`

	// Version of the engine.
	// +optional
	Version string `json:"version,omitempty"`

	// APIVersion is the newest version of its API.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`

	// Socket is the path of its socket on this host, or of the named pipe. Absent while another program has it.
	// +optional
	Socket string `json:"socket,omitempty"`

	// Containers that run now.
	// +optional
	Containers int32 `json:"containers,omitempty"`
}

// Condition types of an App.
const (
	ConditionCreated              = "Created"              // its virtual machine exists
	ConditionRunning              = "Running"              // the virtual machine has booted and answers
	ConditionContainerEngineReady = "ContainerEngineReady" // the engine answers
	ConditionSettled              = "Settled"              // everything is as the spec says
)

// Reasons of the conditions. Created and Running have those of the LimaVM.
const (
	ReasonConnected        = "Connected"        // ContainerEngineReady: True
	ReasonConnecting       = "Connecting"       // ContainerEngineReady: Unknown, the virtual machine runs and the engine does not answer yet
	ReasonConnectFailed    = "ConnectFailed"    // ContainerEngineReady: Unknown, the engine has not answered for a while; False, the guest has given up starting it; see its message
	ReasonStopped          = "Stopped"          // ContainerEngineReady: False
	ReasonSettled          = "Settled"          // Settled: True
	ReasonWaitingForVM     = "WaitingForVM"     // Settled: False
	ReasonWaitingForEngine = "WaitingForEngine" // Settled: False
	ReasonApplyingSettings = "ApplyingSettings" // Settled: False, the virtual machine restarts with new settings
	ReasonDeleting         = "Deleting"         // Settled: False
)
