package v1alpha1

const (
	mib = 1 << 20
	gib = 1 << 30
)

// DefaultDisk is the default of spec.virtualMachine.disk, in bytes.
const DefaultDisk int64 = 100 * gib

const (
	minCPUs   = 2
	minMemory = 2 * gib
	// memoryUnit is the unit of the default, so that a host that reports a little less after an update changes nothing.
	memoryUnit = 128 * mib
)

// DefaultCPUs is the default of spec.virtualMachine.cpus: half of the host's processors, at least 2, and never more than there
// are. 0 means that their number is not known.
func DefaultCPUs(host int) int32 {
	n := max(host/2, minCPUs)
	if host > 0 {
		n = min(n, host)
	}
	return int32(n)
}

// DefaultMemory is the default of spec.virtualMachine.memory in bytes: a quarter of the host's, at least 2 GiB, and never more
// than half of it. 0 means that the host's memory is not known.
func DefaultMemory(host int64) int64 {
	if host <= 0 {
		return minMemory
	}
	n := min(max(host/4, minMemory), host/2)
	return max(n/memoryUnit*memoryUnit, memoryUnit)
}
