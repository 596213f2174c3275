// Package v1alpha1 holds the LimaVM kind: what a user asks of a virtual machine and what is known of it.
// The core, the control plane and the controllers share it; it imports none of our packages.
// +kubebuilder:object:generate=true
// +groupName=lima.rancherdesktop.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of LimaVM.
var GroupVersion = schema.GroupVersion{Group: "lima.rancherdesktop.io", Version: "v1alpha1"}

// Names of the LimaVM resource.
const (
	Kind     = "LimaVM"
	Resource = "limavms"
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
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$')",message="name must be 1 to 30 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",fieldPath=".metadata.name"
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
type LimaVMSpec struct {
	// Running says whether the VM should run.
	// +kubebuilder:default=false
	Running bool `json:"running"`

	// Template is a whole Lima template. Immutable; either this or templateRef.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Template string `json:"template,omitempty"`

	// TemplateRef names a ConfigMap that holds a Lima template under the key "template". Immutable.
	// +optional
	TemplateRef *TemplateRef `json:"templateRef,omitempty"`

	// Params are values for the template's params. They take effect at the next start.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Params map[string]string `json:"params,omitempty"`

	// RestartedAt asks for one restart each time it is set to a new value.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// StopMode says how to stop when running is false. Force ends the VM at once; unwritten data is lost.
	// +optional
	// +kubebuilder:default=Graceful
	StopMode StopMode `json:"stopMode,omitempty"`

	// Acceleration says how guest code is run. Auto probes the host and falls back to emulation. Takes effect at the next start.
	// +optional
	// +kubebuilder:default=Auto
	Acceleration Acceleration `json:"acceleration,omitempty"`

	// Host is the name of the host that runs the VM, when several hosts share one store. Empty: the host that owns the store.
	// +optional
	Host string `json:"host,omitempty"`
}

// TemplateRef names a ConfigMap with a Lima template.
type TemplateRef struct {
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// +optional
	// +kubebuilder:default=default
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
	// ObservedGeneration is the newest generation of the spec that this status has taken into account.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// RestartCount counts restarts of a hostagent that died while the VM should run.
	// +optional
	RestartCount int32 `json:"restartCount,omitempty"`

	// RestartedAt is the newest spec.restartedAt that was carried out.
	// +optional
	RestartedAt *metav1.MicroTime `json:"restartedAt,omitempty"`

	// Progress is the step under way; absent when nothing is.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// TemplateConfigMap names the ConfigMap in rdd-system that holds the validated template.
	// +optional
	TemplateConfigMap string `json:"templateConfigMap,omitempty"`

	// SSHPort is the loopback port of the guest's SSH server; 0 while it is not up.
	// +optional
	SSHPort int32 `json:"sshPort,omitempty"`
}

// Progress is one step of an operation under way.
type Progress struct {
	// Phase is a short stable word, for example "download".
	Phase string `json:"phase"`
	// Step counts from 1 to Steps; 0 when unknown.
	// +optional
	Step int32 `json:"step,omitempty"`
	// +optional
	Steps int32 `json:"steps,omitempty"`
	// Bytes of Total are done; Total is 0 when unknown.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// +optional
	Total int64 `json:"total,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	StartedAt metav1.Time `json:"startedAt,omitempty"`
}

// Condition types of a LimaVM.
const (
	ConditionCreated     = "Created"     // its disk and configuration exist
	ConditionRunning     = "Running"     // it has booted and answers
	ConditionAccelerated = "Accelerated" // the processor runs guest code; False: emulation, with the cause
)

// Reasons of the conditions Created and Running.
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
)

// SystemNamespace holds RDD's own objects, such as the VMs' validated templates.
const SystemNamespace = "rdd-system"
