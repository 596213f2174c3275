package diag

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The lines are real messages of QEMU, Lima, Linux, Go and RDD.
func TestLinesOfLogsAreRecognized(t *testing.T) {
	for _, tc := range []struct {
		want   ID
		source Source
		line   string
	}{
		{AccelerationPermission, Host, `qemu[stderr]: qemu-system-x86_64: Could not access KVM kernel module: Permission denied`},
		{AccelerationPermission, Host, `qemu-system-x86_64: failed to initialize kvm: Operation not permitted`},
		{AccelerationPermission, Host, `qemu[stderr]: qemu-system-aarch64: Error: ret = HV_DENIED (0xfae94007, at ../accel/hvf/hvf-accel-ops.c:334)`},
		{"acceleration-busy", Host, `ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy`},
		{AccelerationBroken, Host, `error: kvm run failed Bad address`},
		{AccelerationBroken, Host, `qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0`},
		{AccelerationBroken, Host, `KVM internal error. Suberror: 1`},
		{AccelerationMissing, Host, `Could not access KVM kernel module: No such file or directory`},
		{AccelerationMissing, Host, `qemu-system-x86_64.exe: WHPX: No accelerator found, hr=00000000`},
		{AccelerationMissing, Host, `qemu-system-x86_64: -accel hvf: invalid accelerator hvf`},
		{"cpu-unsupported", Host, `qemu-system-x86_64: unable to find CPU model 'host,-x'`},
		{"cpu-unsupported", Guest, `This kernel requires the following features not present on the CPU: cx16`},
		{"cpu-unsupported", Guest, `Fatal glibc error: CPU does not support x86-64-v2`},
		{QEMUMissing, Host, `exec: "qemu-img": executable file not found in $PATH`},
		{QEMUTooOld, Host, `QEMU 3.1.0 is too old, 4.0.0 or later required`},
		{"firmware-missing", Host, "could not find firmware for \"/usr/bin/qemu-system-x86_64\" (hint: try setting `firmware.legacyBIOS` to `true`)"},
		{"firmware-missing", Host, `qemu: could not load PC BIOS 'bios-256k.bin'`},
		{"image-digest", Host, `failed to download "https://x/y": expected digest "sha256:aa", got "sha256:bb"`},
		{"download-denied", Host, `failed to download "https://x": unexpected HTTP status Too Many Requests, body=""`},
		{"proxy", Host, `Get "https://cloud.debian.org/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused`},
		{"proxy", Host, `Get "https://cloud.debian.org/": Proxy Authentication Required`},
		{ClockWrong, Host, `tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2023-05-11T07:06:36-06:00 is before 2023-05-12T00:00:00Z`},
		{"tls-untrusted", Host, `Get "https://x/": tls: failed to verify certificate: x509: certificate signed by unknown authority`},
		{"dns", Host, `Get "https://cloud.debian.org/": dial tcp: lookup cloud.debian.org on 127.0.0.53:53: no such host`},
		{"dns", Host, `dial tcp: lookup cloud.debian.org: i/o timeout`},
		{"network", Host, `Get "https://cloud.debian.org/": dial tcp 1.2.3.4:443: connect: network is unreachable`},
		{"network", Host, `Get "https://x/": net/http: TLS handshake timeout`},
		{"network", Host, `Get "http://127.0.0.1:1/a.yaml": dial tcp 127.0.0.1:1: connect: connection refused`},
		{"download-cut", Host, `images[0]: failed to download "https://x/y.qcow2": unexpected EOF`},
		{"disk-locked", Host, `qemu-system-x86_64: -drive file=diffdisk: Failed to get "write" lock`},
		{"disk-locked", Host, `qemu-img: Could not open 'file': Failed to get shared "write" lock`},
		{"vm-busy", Host, `another QEMU of this VM still runs: /home/j/.rdd/default/lima/_run/rd/qemu.lock: locked by another process`},
		{"disk-damaged", Host, `qcow2: Marking image as corrupt: L2 table offset 0x2a2a2a00 unaligned; further corruption events will be suppressed`},
		{"disk-damaged", Host, `Could not open 'diffdisk': qcow2: Image is corrupt; cannot be opened read/write`},
		{"image-unusable", Host, `file "basedisk" is not acceptable as the base disk: unexpected backing file`},
		{"datastore-locked", Host, `datastore /x/state.db: database is locked (5) (SQLITE_BUSY)`},
		{DatastoreDamaged, Host, `file is not a database (26)`},
		{"too-many-files", Host, `accept unix /x/api.sock: accept4: too many open files`},
		{"too-many-files", Host, `inotify_add_watch(/x): no space left on device`},
		{DiskFull, Host, `write /x/basedisk: no space left on device`},
		{DiskFull, Host, `datastore: database or disk is full (13)`},
		{MemoryShort, Host, `qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory`},
		{SocketPathTooLong, Host, `instance name "colima" too long: "/Users/d/.colima/_lima/colima/ssh.sock.1234567890123456" must be less than UNIX_PATH_MAX=104 characters, but is 121`},
		{StaleSocket, Host, `qemu-system-x86_64: -chardev socket,path=/x/qmp.sock: Failed to bind socket to /x/qmp.sock: Address already in use`},
		{StaleSocket, Host, `listen unix /home/j/.rdd/default/lima/rd/ha.sock: bind: address already in use`},
		{PortInUse, Host, `listen tcp 127.0.0.1:6443: bind: address already in use`},
		{PortInUse, Host, `-netdev user,id=net0,hostfwd=tcp:127.0.0.1:60022-:22: Could not set up host forwarding rule 'tcp:127.0.0.1:60022-:22'`},
		{PortInUse, Host, `listen tcp 127.0.0.1:80: bind: Only one usage of each socket address (protocol/network address/port) is normally permitted.`},
		{"host-read-only", Host, `mkdir /home/j/.rdd: read-only file system`},
		{"ssh-key-open", Host, `Permissions 0644 for '/home/j/.rdd/default/lima/_config/user' are too open.`},
		{"ssh-refused", Host, `rdd@127.0.0.1: Permission denied (publickey).`},
		{FilesPermission, Host, `create instance "default": mkdir /home/j/.local/share/rdd: permission denied`},
		{FilesPermission, Host, `open C:\Users\j\AppData\Local\rdd\serve.lock: Access is denied.`},
		{"mount-failed", Host, `failed to mount reverse sshfs for "/home/j" on "/home/j": exit status 1`},
		{"guest-no-root", Guest, `[    1.4] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)`},
		{"guest-memory", Guest, `[  812.1] Out of memory: Killed process 812 (java) total-vm:8123456kB`},
		{"guest-panic", Guest, `[    3.9] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b ]---`},
		{"guest-disk-full", Guest, `systemd-journald[373]: Failed to create new system journal: No space left on device`},
		{"guest-disk-read-only", Guest, `[ 1674.03] EXT4-fs (vda1): Remounting filesystem read-only`},
		{"guest-disk-read-only", Guest, `[ 99.1] I/O error, dev vda, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2`},
		{"guest-emergency", Guest, `You are in emergency mode. After logging in, type "journalctl -xb"`},
		{"guest-not-bootable", Guest, `BdsDxe: failed to load Boot0001 "UEFI Misc Device" from PciRoot(0x0): Not Found`},
		{"guest-agent-silent", Host, `guest agent does not seem to be running; port forwards will not work`},
		{SSHSilent, Host, `failed to satisfy the essential requirement 1 of 3 "ssh": Failed to SSH into the guest.`},
		{GuestScripts, Host, `failed to satisfy the final requirement 1 of 1 "boot scripts must have finished"`},
	} {
		if p, _ := Match(tc.source, "first line\n"+tc.line+"\nlast line"); p.ID != tc.want {
			t.Errorf("%s: found %q, want %q", tc.line, p.ID, tc.want)
		}
	}
}

func TestOrdinaryLinesMatchNoProblem(t *testing.T) {
	for _, tc := range []struct {
		source Source
		line   string
	}{
		{Host, ""},
		{Host, "exit status 1"},
		{Host, `stdout="", stderr="ssh: connect to host 127.0.0.1 port 61210: Connection refused\r\n"`},
		{Host, `Waiting for the essential requirement 1 of 3: "ssh"`},
		{Host, `there is no such VM; see: rdd vm list`},
		{Host, `Kernel panic - not syncing`}, // a message of the guest
		{Guest, `listen tcp 127.0.0.1:80: bind: address already in use`},
		{Guest, `[  OK  ] Started OpenSSH server daemon.`},
		{Guest, `EXT4-fs (vda): mounted filesystem with ordered data mode`},
	} {
		if p, found := Match(tc.source, tc.line); found {
			t.Errorf("%s: found %s", tc.line, p.ID)
		}
	}
}

func TestAdviceIsGivenOnce(t *testing.T) {
	p, _ := Match(Host, "no space left on device")
	text := "start VM: write x: no space left on device\n" + p.Advice("linux")
	cause, got, ok := Split("known problem or not: " + text)
	if !ok || got.ID != DiskFull || cause != "known problem or not: start VM: write x: no space left on device" {
		t.Errorf("%q is split into %q and %s", text, cause, got.ID)
	}
	for _, other := range []string{"", "a known problem", "known problem unknown: x", "known problem "} {
		if cause, p, ok := Split(other); ok || cause != other {
			t.Errorf("%q: %q, %s", other, cause, p.ID)
		}
	}
}

func TestRemediesDifferPerSystem(t *testing.T) {
	p, _ := Find(QEMUMissing)
	for goos, part := range map[string]string{"linux": "apt install qemu-system-x86", "darwin": "brew install qemu", "windows": "winget install", "freebsd": "Install QEMU"} {
		if !strings.Contains(p.Remedy(goos), part) {
			t.Errorf("%s: %s", goos, p.Remedy(goos))
		}
	}
	for _, distribution := range []string{"Debian", "Fedora", "Arch"} {
		if !strings.Contains(p.Remedy("linux"), distribution) {
			t.Errorf("the remedy doesn't mention %s", distribution)
		}
	}
}

// The template, memory and disk of a VM can be changed, so no remedy says to delete the VM.
func TestNoRemedyDeletesTheVM(t *testing.T) {
	for _, id := range []ID{"image-digest", MemoryShort, "guest-memory", "guest-disk-full"} {
		if p, _ := Find(id); !strings.Contains(p.Remedy("linux"), "rdd vm edit NAME") {
			t.Errorf("%s: %s", id, p.Remedy("linux"))
		}
	}
	for _, p := range Known() {
		if r := p.Remedy("linux"); regexp.MustCompile(`(?i)\banew\b|create the VM|delete the VM|can't change`).MatchString(r) {
			t.Errorf("%s: %s", p.ID, r)
		}
	}
}

func TestTableIsComplete(t *testing.T) {
	seen := map[ID]bool{}
	for _, p := range Known() {
		if seen[p.ID] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(p.ID)) {
			t.Errorf("%q is a duplicate or not an ID", p.ID)
		}
		seen[p.ID] = true
		for _, goos := range []string{"linux", "darwin", "windows", "freebsd"} {
			if p.Meaning == "" || p.Remedy(goos) == "" {
				t.Errorf("%s: no meaning, or no remedy for %s", p.ID, goos)
			}
		}
	}
	for name, id := range constants(t) {
		if !seen[id] {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// constants returns the IDs that code can refer to.
func constants(t *testing.T) map[string]ID {
	file, err := parser.ParseFile(token.NewFileSet(), "problems.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]ID{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && spec.Type != nil {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			ids[spec.Names[0].Name] = ID(value)
		}
		return true
	})
	if len(ids) < 20 {
		t.Fatalf("found only %d constants", len(ids))
	}
	return ids
}

// The page documents the IDs, because scripts rely on them.
func TestPageListsTheTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/diagnose.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, p := range Known() {
		fmt.Fprintf(&rows, "| `%s` | %s |\n", p.ID, strings.ReplaceAll(p.Meaning, "|", `\|`))
	}
	_, table, _ := strings.Cut(string(b), "| id | meaning |\n|---|---|\n")
	if table, _, _ = strings.Cut(table, "\n\n"); strings.TrimSpace(table) != strings.TrimSpace(rows.String()) {
		t.Errorf("the table of known problems in docs/diagnose.md should be:\n%s", &rows)
	}
}
