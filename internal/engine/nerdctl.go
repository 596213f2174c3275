package engine

// NerdctlFolder is where the user's nerdctl is on the guest's data disk, as in its archive. Containers name programs in it, so
// another version replaces it.
const NerdctlFolder = "/mnt/rdd-data/rdd/nerdctl"

// NerdctlProgram is nerdctl's place in its archive.
const NerdctlProgram = "bin/nerdctl"

// Nerdctl returns the words of a command in the guest that runs nerdctl as root. Its networks are on the data disk, too.
func Nerdctl(args ...string) []string {
	return append([]string{
		"sudo", "-n", "env", "PATH=" + NerdctlFolder + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CNI_PATH=" + NerdctlFolder + "/libexec/cni", "NETCONFPATH=/var/lib/nerdctl/net.d", NerdctlFolder + "/" + NerdctlProgram,
	}, args...)
}
