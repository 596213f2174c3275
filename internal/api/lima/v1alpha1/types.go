// Package v1alpha1 defines the LimaVM kind: the desired state of a virtual machine, and its observed state.
// The core, the control plane and the controllers share it; it imports none of our packages.
// +kubebuilder:object:generate=true
// +groupName=lima.rancherdesktop.io
package v1alpha1

import (
	"crypto/sha256"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of LimaVM.
var GroupVersion = schema.GroupVersion{Group: "lima.rancherdesktop.io", Version: "v1alpha1"}

// Names of the LimaVM resource.
const (
	Kind     = "LimaVM"
	Resource = "limavms"
	// Controller is the name of the controller that works on it.
	Controller = "limavm"
)

// LimaVM is a virtual machine run through Lima. It is cluster-scoped, so the
// store itself keeps its name unique in the whole control plane.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=vm,path=limavms,singular=limavm
// +kubebuilder:printcolumn:name="Running",type=string,JSONPath=`.status.conditions[?(@.type=="Running")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Running")].reason`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.progress.phase`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restartCount`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type LimaVM struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   LimaVMSpec   `json:"spec"`
	Status LimaVMStatus `json:"status,omitempty"`
}

// LimaVMList is a list of LimaVMs.
// +kubebuilder:object:root=true
type LimaVMList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LimaVM `json:"items"`
}

// LimaVMSpec is what the user asks for.
// +kubebuilder:validation:XValidation:rule="has(self.template) != has(self.templateRef)",message="set exactly one of template and templateRef"
// +kubebuilder:validation:XValidation:rule="has(self.template) == has(oldSelf.template) && (!has(self.template) || self.template == oldSelf.template)",message="template is immutable",fieldPath=".template"
// +kubebuilder:validation:XValidation:rule="has(self.templateRef) == has(oldSelf.templateRef) && (!has(self.templateRef) || self.templateRef == oldSelf.templateRef)",message="templateRef is immutable",fieldPath=".templateRef"
// +kubebuilder:validation:XValidation:rule="has(self.host) == has(oldSelf.host) && (!has(self.host) || self.host == oldSelf.host)",message="host is immutable: the disk does not move",fieldPath=".host"
type LimaVMSpec struct {
	// Running says whether the VM should run. Default false: it is created, and
	// not started.
	// +kubebuilder:default=false
	Running bool `json:"running"`

	// Template is a whole Lima template in YAML, at most 256 KiB. Immutable. Set
	// either this or templateRef.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Template string `json:"template,omitempty"`

	// TemplateRef names a ConfigMap that holds a Lima template under the key
	// "template". It is read once, when the VM is created; a copy is kept with
	// the VM. Immutable. Set either this or template.
	// +optional
	TemplateRef *TemplateRef `json:"templateRef,omitempty"`

	// Params are values for the params that the template declares, at most 64.
	// They take effect at the next start.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 128 && size(self[k]) <= 4096)",message="a param's name has at most 128 characters, its value at most 4096"
	Params map[string]string `json:"params,omitempty"`

	// RestartedAt asks for one restart each time it is set to a new value, by
	// convention the time of asking, in RFC 3339 with microseconds. It does not
	// start a VM that is not to run.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// ResetAt asks for a new disk each time it is set to a new value, by
	// convention the time of asking, in RFC 3339 with microseconds. The VM is
	// stopped, its disk is removed with all that is on it, a new one is made from
	// the VM's template, and the VM is started again if it is to run.
	// +optional
	ResetAt *metav1.MicroTime `json:"resetAt,omitempty"`

	// StopMode says how the VM is stopped: when running is false, for a restart
	// or a reset, and before deletion. Graceful, the default, lets the guest shut down and
	// never ends it by force. Force ends it at once; what it has not yet written
	// to its disk is lost.
	// +optional
	// +kubebuilder:default=Graceful
	StopMode StopMode `json:"stopMode,omitempty"`

	// Acceleration says how guest code is run. Auto, the default, tries the
	// host's hardware and falls back to emulation; Hardware fails where there is
	// none; Emulation never uses it. It takes effect at the next start.
	// +optional
	// +kubebuilder:default=Auto
	Acceleration Acceleration `json:"acceleration,omitempty"`

	// DataDisk is a disk beside the system disk. It is kept when the system disk is
	// reset or replaced, and removed with the VM. It can be added to a VM that has
	// none; it takes effect at the next start.
	// +optional
	DataDisk *DataDisk `json:"dataDisk,omitempty"`

	// SystemDisk says what happens when the VM's own template names other images
	// than its system disk was made of. Keep, the default, rejects such a change.
	// Replace makes a new system disk at the next start: what is on the old one is
	// lost, the data disk is kept. If the new system doesn't boot, the old one comes
	// back, and problems say why.
	// +optional
	// +kubebuilder:default=Keep
	SystemDisk SystemDiskMode `json:"systemDisk,omitempty"`

	// Host is the name of the host that runs the VM, when several hosts share one
	// store. Immutable. Default: the host that owns the store.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`
}

// TemplateRef names a ConfigMap with a Lima template.
type TemplateRef struct {
	// Name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the ConfigMap. Default: default.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// TemplateKey is the ConfigMap key that holds a template.
const TemplateKey = "template"

// StopMode says how a VM is stopped.
// +kubebuilder:validation:Enum=Graceful;Force
type StopMode string

// The ways to stop a VM.
const (
	StopGraceful StopMode = "Graceful"
	StopForce    StopMode = "Force"
)

// DataDisk is a disk beside the system disk.
type DataDisk struct {
	// Size is its largest size, for example 100Gi; at least 1Gi. It takes space on
	// the host only as the guest writes to it. It can grow, at the next start, and
	// never shrinks.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="must be at least 1Gi"
	Size resource.Quantity `json:"size"`
}

// SystemDiskMode says whether the system disk follows the images of the template.
// +kubebuilder:validation:Enum=Keep;Replace
type SystemDiskMode string

// What may happen to a system disk.
const (
	SystemDiskKeep    SystemDiskMode = "Keep"
	SystemDiskReplace SystemDiskMode = "Replace"
)

// Acceleration says how guest code is run.
// +kubebuilder:validation:Enum=Auto;Hardware;Emulation
type Acceleration string

// The ways to run guest code.
const (
	AccelerationAuto      Acceleration = "Auto"
	AccelerationHardware  Acceleration = "Hardware"
	AccelerationEmulation Acceleration = "Emulation"
)

// LimaVMStatus is what is known of the VM.
type LimaVMStatus struct {
	// ObservedGeneration is the newest metadata.generation that this status has
	// taken into account.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Created (its disk and configuration exist), Running (it has
	// booted and answers), Accelerated (hardware runs guest code). Unknown means
	// changing or about to be tried again; False with a reason that ends in
	// Failed means that waiting can't help.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// RestartCount counts the hostagents that died under a guest that should run.
	// +optional
	RestartCount int32 `json:"restartCount,omitempty"`

	// RestartedAt is the newest spec.restartedAt that was carried out.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// ResetAt is the newest spec.resetAt that was carried out: the old disk is gone.
	// +optional
	ResetAt *metav1.MicroTime `json:"resetAt,omitempty"`

	// Progress is the step under way; absent when nothing is.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// Problems are what does not work in a VM that runs, one sentence or more
	// each: scripts or probes of its template that fail, a lost connection,
	// ports that something else holds. Absent while everything works.
	// +optional
	// +listType=atomic
	Problems []string `json:"problems,omitempty"`

	// Ports are the ports of the guest that are forwarded to the host, or should be.
	// +optional
	// +listType=atomic
	Ports []Port `json:"ports,omitempty"`

	// Disks are the system disk and the data disk, with their use as of the last
	// minutes.
	// +optional
	// +listType=map
	// +listMapKey=name
	Disks []Disk `json:"disks,omitempty"`

	// TemplateConfigMap names the ConfigMap in rdd-system that holds the
	// validated template.
	// +optional
	TemplateConfigMap string `json:"templateConfigMap,omitempty"`

	// TemplateDigest is the sha256 digest of the template in it, as it was last
	// seen. The next start uses that one.
	// +optional
	TemplateDigest string `json:"templateDigest,omitempty"`

	// KnownProblem is the ID of the known problem that the last failure is, for
	// example "disk-full"; docs/diagnose.md lists them. Absent when there is none.
	// +optional
	KnownProblem string `json:"knownProblem,omitempty"`

	// SSHPort is the port of the guest's SSH server on 127.0.0.1; absent while it
	// is not up.
	// +optional
	SSHPort int32 `json:"sshPort,omitempty"`
}

// PortState says what became of a port that should be forwarded.
type PortState string

// The states of a port.
const (
	PortForwarded    PortState = "Forwarded"    // connections to the host's address reach the guest
	PortBusy         PortState = "Busy"         // another program has the host's address; it is tried again each few seconds
	PortNotPermitted PortState = "NotPermitted" // this host or the App's spec.ports doesn't allow it
)

// Port is a port of the guest that is forwarded to the host, or should be.
type Port struct {
	// Protocol is tcp or udp.
	Protocol string `json:"protocol"`

	// HostAddress is the address and port on the host, for example 127.0.0.1:8080.
	HostAddress string `json:"hostAddress"`

	// GuestAddress is the address and port in the guest.
	GuestAddress string `json:"guestAddress"`

	// Container is the name of the container that publishes it; absent when another
	// program of the guest listens.
	// +optional
	Container string `json:"container,omitempty"`

	// State is Forwarded, Busy or NotPermitted.
	State PortState `json:"state"`

	// Message says who has a busy port, or how to allow one that is not permitted.
	// +optional
	Message string `json:"message,omitempty"`
}

// The names of a VM's disks.
const (
	SystemDisk   = "system"
	DataDiskName = "data"
)

// Disk is a disk of a VM and its use, in bytes.
type Disk struct {
	// Name is system or data.
	Name string `json:"name"`

	// Used of the guest's file system; absent while the VM does not run.
	// +optional
	Used int64 `json:"used,omitempty"`

	// Capacity of the guest's file system; absent while the VM does not run.
	// +optional
	Capacity int64 `json:"capacity,omitempty"`

	// Allocated on the host.
	// +optional
	Allocated int64 `json:"allocated,omitempty"`

	// Maximum that may be allocated on the host.
	// +optional
	Maximum int64 `json:"maximum,omitempty"`
}

// Progress is one step of an operation under way.
type Progress struct {
	// Phase is a short stable word, for example "image"; docs/limavm.md lists them.
	Phase string `json:"phase"`

	// Step counts from 1 to steps; absent when unknown.
	// +optional
	Step int32 `json:"step,omitempty"`

	// Steps of the operation; absent when unknown.
	// +optional
	Steps int32 `json:"steps,omitempty"`

	// Bytes done of this step.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`

	// Total bytes of this step; absent when unknown.
	// +optional
	Total int64 `json:"total,omitempty"`

	// Message for people.
	// +optional
	Message string `json:"message,omitempty"`

	// StartedAt is when the step began.
	// +optional
	StartedAt metav1.Time `json:"startedAt,omitzero"`
}

// Condition types of a LimaVM.
const (
	ConditionCreated     = "Created"     // its disk and configuration exist
	ConditionRunning     = "Running"     // it has booted and answers
	ConditionAccelerated = "Accelerated" // the processor runs guest code; False: emulation, with the cause
)

// Reasons of the conditions Created and Running. With the status Unknown a
// reason that ends in Failed will be tried again; with False waiting can't help.
const (
	ReasonPending      = "Pending"
	ReasonCreated      = "Created"
	ReasonCreateFailed = "CreateFailed"
	ReasonStarting     = "Starting"
	ReasonStarted      = "Started"
	ReasonStopping     = "Stopping"
	ReasonStopped      = "Stopped"
	ReasonStartFailed  = "StartFailed"
	ReasonStopFailed   = "StopFailed"
	ReasonUnresponsive = "Unresponsive" // Running, when the guest or its QEMU no longer answers
	ReasonPaused       = "Paused"       // Running, when the guest is held and nothing of it is lost
	ReasonRemoving     = "Removing"     // Created, while it is being deleted or reset
	ReasonRemoveFailed = "RemoveFailed" // Created, while it is being deleted or reset
)

// SystemNamespace holds RDD's own objects, such as the VMs' validated templates.
const SystemNamespace = "rdd-system"

// Finalizer keeps a LimaVM until its VM is stopped and its disk removed.
const Finalizer = "lima.rancherdesktop.io/vm"

// AdoptAnnotation is "true" on a LimaVM that is created for an existing disk. Without it, no VM is created whose
// folder already has files.
const AdoptAnnotation = "lima.rancherdesktop.io/adopt"

// Adopts reports whether the VM is created for an existing disk.
func (vm *LimaVM) Adopts() bool { return vm.Annotations[AdoptAnnotation] == "true" }

// TemplateConfigMapName returns the name of the ConfigMap in SystemNamespace that holds the
// validated template of the VM called vm.
func TemplateConfigMapName(vm string) string { return "limavm-" + vm }

// TemplateDigest returns the digest of a template in the form of status.templateDigest.
func TemplateDigest(template string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(template)))
}
