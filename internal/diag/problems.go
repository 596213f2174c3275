package diag

// Problems that code of ours names; the others are found by their patterns only.
const (
	AccelerationMissing    ID = "acceleration-missing"
	AccelerationPermission ID = "acceleration-permission"
	AccelerationHangs      ID = "acceleration-hangs"
	AccelerationBroken     ID = "acceleration-broken"
	NestedVirtualization   ID = "nested-virtualization"
	QEMUMissing            ID = "qemu-missing"
	ServicePath            ID = "service-path"
	QEMUTooOld             ID = "qemu-too-old"
	InstallBroken          ID = "install-broken"
	VersionMismatch        ID = "version-mismatch"
	DiskFull               ID = "disk-full"
	DiskNearlyFull         ID = "disk-nearly-full"
	MemoryShort            ID = "memory-short"
	SocketPathTooLong      ID = "socket-path-too-long"
	StaleSocket            ID = "stale-socket"
	StaleLock              ID = "stale-lock"
	HalfMadeVM             ID = "half-made-vm"
	OrphanVM               ID = "orphan-vm"
	LeftoverProcess        ID = "leftover-process"
	ServiceCrashed         ID = "service-crashed"
	ServiceBroken          ID = "service-broken"
	PortInUse              ID = "port-in-use"
	ClockWrong             ID = "clock-wrong"
	ClockSetBack           ID = "clock-set-back"
	CredentialsOpen        ID = "credentials-open"
	FilesPermission        ID = "files-permission"
	DatastoreDamaged       ID = "datastore-damaged"
	ConfigDamaged          ID = "config-damaged"
	SettingsDamaged        ID = "settings-damaged"
	HomeUnusable           ID = "home-unusable"
	DatastoreUnreachable   ID = "datastore-unreachable"
	ImageDigest            ID = "image-digest"
	DownloadMissing        ID = "download-missing"
	DownloadCut            ID = "download-cut"
	VMBusy                 ID = "vm-busy"
	GuestPanic             ID = "guest-panic"
	SSHSilent              ID = "ssh-silent"
	GuestScripts           ID = "guest-scripts"
	VMFailed               ID = "vm-failed"
	VMDegraded             ID = "vm-degraded"
)

// problems is the table. The first one that matches is told, so the specific come before the general.
// The words are those of QEMU, Lima, OpenSSH, Linux, Go's library, SQLite and ourselves.
var problems = []KnownProblem{
	// Hardware acceleration.
	{
		ID:      AccelerationPermission,
		Meaning: "You may not use this computer's hardware acceleration, so virtual machines are emulated, several times slower, or don't start where it is required.",
		remedy: remedy{
			"":       "Ask for the right to run virtual machines, then log in again.",
			"linux":  "Join the group of /dev/kvm (sudo usermod -aG kvm $USER), then log out and in again. Without such a group: sudo setfacl -m u:$USER:rw /dev/kvm",
			"darwin": "QEMU lacks the entitlement com.apple.security.hypervisor; install it again: brew reinstall qemu",
		},
		host: []string{
			`could not access KVM kernel module: (permission denied|operation not permitted)`,
			`failed to initialize kvm: (permission denied|operation not permitted)`,
			`/dev/kvm\S*: permission denied`, `HV_DENIED`,
		},
	},
	{
		ID:      "acceleration-busy",
		Meaning: "Another program holds this processor's virtualization, and only one can.",
		remedy: remedy{
			"":      "End the other hypervisor (VirtualBox, VMware, an Android emulator), then start the VM again.",
			"linux": "End the other hypervisor (VirtualBox, VMware), or unload its kernel modules (lsmod | grep -E 'vboxdrv|vmmon'), then start the VM again.",
		},
		host: []string{`ioctl\(KVM_CREATE_VM\) failed: 16`, `KVM_CREATE_VM.*device or resource busy`, `HV_BUSY`},
	},
	{
		ID:      AccelerationHangs,
		Meaning: "Hardware acceleration is there but guests hang under it, as under some nested hypervisors; virtual machines are emulated, several times slower.",
		remedy: remedy{
			"":      "If this computer is a virtual machine, switch nested virtualization on in its hypervisor; else update firmware and QEMU. Emulation works meanwhile (acceleration: Auto).",
			"linux": "If this computer is a virtual machine, switch nested virtualization on in its hypervisor; else update firmware, kernel and QEMU. After a change reboot the host: what was found holds until then. Emulation works meanwhile (acceleration: Auto).",
		},
	},
	{
		ID:      AccelerationBroken,
		Meaning: "Hardware acceleration is there but fails on a feature of this processor, as under some nested hypervisors.",
		remedy: remedy{
			"": "Update QEMU and the host's firmware; if this computer is a virtual machine, switch nested virtualization on in its hypervisor. Emulation works meanwhile: rdd vm create NAME TEMPLATE --acceleration Emulation",
		},
		host: []string{
			`KVM internal error`, `kvm run failed`, `failed to set MSR 0x`, `kvm_buf_set_msrs: assertion`, `kvm_msr_buf->nmsrs`,
			`but a test guest fails under it`, `WHPX: (failed|unexpected)`, `Unexpected VP exit code`, `HV_(ERROR|UNSUPPORTED|BAD_ARGUMENT)`,
		},
	},
	{
		ID:      NestedVirtualization,
		Meaning: "This computer is itself a virtual machine, and its hypervisor doesn't pass virtualization on; virtual machines are emulated, several times slower.",
		remedy: remedy{
			"": "Switch nested virtualization on for this machine in its hypervisor, or at the cloud provider, and reboot it. Emulation works meanwhile (acceleration: Auto).",
		},
		host: []string{`nested virtualization is (not|disabled)`, `nested VMX (is )?(not|disabled)`},
	},
	{
		ID:      AccelerationMissing,
		Meaning: "There is no hardware acceleration to use, so virtual machines are emulated, several times slower, or don't start where it is required.",
		remedy: remedy{
			"":        "Switch virtualization on in the firmware (Intel VT-x, AMD-V, SVM).",
			"linux":   "Switch virtualization on in the firmware (Intel VT-x, AMD-V, SVM) and load its module: sudo modprobe kvm_intel (or kvm_amd)",
			"windows": "Switch virtualization on in the firmware, then the feature on as administrator: dism /online /enable-feature /featurename:HypervisorPlatform, and reboot.",
		},
		host: []string{
			`could not access KVM kernel module: no such (file|device)`, `failed to initialize (kvm|hvf|whpx)`,
			`invalid accelerator (kvm|hvf|whpx)`, `WHPX: no accelerator found`, `accelerator "?\w+"? is not supported by`, `KVM is not available`,
		},
	},
	{
		ID:      "cpu-unsupported",
		Meaning: "The processor that the VM should have is one that this QEMU, this host or the guest's system can't do with.",
		remedy: remedy{
			"": "Remove cpuType (or -cpu) from the template, which chooses a processor that fits; if the guest complains, use an image for older processors.",
		},
		host:  []string{`unable to find CPU model`, `cpu "[^"]*" is not supported by`, `host doesn't support requested features`, `CPU model '?host'? requires KVM`},
		guest: []string{`this kernel requires the following features not present on the CPU`, `CPU (ISA level is lower than required|does not support x86-64-v)`},
	},

	// Programs and files that have to be there.
	{
		ID:      ServicePath,
		Meaning: "A program that virtual machines need is installed, but the running service does not find it: it keeps the PATH of whoever started it.",
		remedy: remedy{
			"": "Restart the service from a terminal that finds the program: rdd svc restart. If the service starts when you log in, put the program's folder into the PATH of your login, too.",
		},
	},
	{
		ID:      QEMUMissing,
		Meaning: "A program that runs or reaches virtual machines is not installed, or not in the service's PATH.",
		remedy: remedy{
			"linux": "Install QEMU and OpenSSH. Debian, Ubuntu: sudo apt install qemu-system-x86 qemu-utils openssh-client (on ARM: qemu-system-arm). " +
				"Fedora: sudo dnf install qemu-system-x86 qemu-img openssh-clients. Arch: sudo pacman -S qemu-base openssh. If they are installed, restart the service from a terminal that finds them: rdd svc restart",
			"darwin":  "brew install qemu, then: rdd svc restart",
			"windows": "winget install SoftwareFreedomConservancy.QEMU, add its folder to PATH, then: rdd svc restart",
			"":        "Install QEMU and OpenSSH, then: rdd svc restart",
		},
		host: []string{
			`failed to find the QEMU binary`,
			`exec: "(qemu-[a-z0-9_-]+|ssh|ssh-keygen)(\.exe)?": executable file not found`,
		},
	},
	{
		ID:      QEMUTooOld,
		Meaning: "This QEMU is older than virtual machines here need.",
		remedy: remedy{
			"":       "Install a newer QEMU.",
			"linux":  "Install a newer QEMU; on Debian from backports: sudo apt install -t $(. /etc/os-release; echo $VERSION_CODENAME)-backports qemu-system",
			"darwin": "brew upgrade qemu",
		},
		host: []string{`QEMU \S+ is too old`},
	},
	{
		ID:      "firmware-missing",
		Meaning: "The firmware (UEFI or BIOS) that the VM boots with is not where QEMU's packages put it.",
		remedy: remedy{
			"linux":  "Install it. Debian, Ubuntu: sudo apt install ovmf (on ARM: qemu-efi-aarch64). Fedora: sudo dnf install edk2-ovmf. Arch: sudo pacman -S edk2-ovmf. Or set firmware.legacyBIOS: true in the template.",
			"darwin": "It comes with QEMU: brew reinstall qemu",
			"":       "It comes with QEMU: install QEMU again, or set firmware.legacyBIOS: true in the template.",
		},
		host: []string{`could not find firmware`, `could not load (pc )?bios`, `could not open '[^']*(ovmf|edk2|bios)[^']*'`, `could not initialize flash`},
	},
	{
		ID:      InstallBroken,
		Meaning: "A part of RDD is missing, can't be run, or was built for another kind of computer.",
		remedy:  remedy{"": "Install RDD again; where it was unpacked by hand, name its libexec folder in RDD_LIBEXEC."},
		host:    []string{`exec format error`, `not a valid Win32 application`, `bad CPU type in executable`},
	},
	{
		ID:      VersionMismatch,
		Meaning: "Programs of different versions of RDD are mixed, which nobody has tested together.",
		remedy:  remedy{"": "After an update: rdd svc restart. If that doesn't help, install RDD again."},
	},
	{
		ID:      "virtiofsd-missing",
		Meaning: "The template shares folders by virtiofs, and the program for it is not installed.",
		remedy: remedy{
			"linux": "Install it (Debian, Fedora and Arch: the package virtiofsd), or set mountType: 9p in the template.",
			"":      "Set mountType: 9p in the template.",
		},
		host: []string{`failed to locate virtiofsd`, `virtiofsd never created`, `vhost socket \S+ never appeared`},
	},

	// Downloads.
	{
		ID:      ImageDigest,
		Meaning: "The file is not the one that the template names by its digest: it has changed at its source, is damaged, or was tampered with.",
		remedy:  remedy{"": "Check with the image's publisher which digest is right. If the template's is outdated, correct it: rdd vm edit NAME. If the file is damaged, get it again."},
		host:    []string{`expected digest (of )?"?sha\d+:`, `digest mismatch`},
	},
	{
		ID:      DownloadMissing,
		Meaning: "The server has no such file (any more); distributions remove old images.",
		remedy:  remedy{"": "Correct the location in the template, or use a newer template; template://NAME names those that come with RDD."},
		host:    []string{`unexpected HTTP status (not found|gone)`},
	},
	{
		ID:      "download-denied",
		Meaning: "The server refuses the download: it wants a login, or has had too many requests from your address.",
		remedy:  remedy{"": "Wait some minutes and try again; from behind a shared address or with a login, download the file yourself and name its path in the template."},
		host:    []string{`unexpected HTTP status (forbidden|unauthorized|too many requests)`, `\b(401 Unauthorized|403 Forbidden|429 Too Many Requests)\b`},
	},
	{
		ID:      "proxy",
		Meaning: "The proxy that HTTPS_PROXY or HTTP_PROXY names does not answer or wants a login.",
		remedy:  remedy{"": "Correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY (http://USER:PASSWORD@HOST:PORT if it wants a login), then: rdd svc restart, because the service keeps the environment it was started with."},
		host:    []string{`proxyconnect`, `proxy authentication required`, `malformed HTTP response .*proxy`, `socks connect`},
	},
	{
		ID:      ClockWrong,
		Meaning: "A certificate is not valid at the time that the clock shows: the clock is wrong, or the certificate has expired.",
		remedy: remedy{
			"linux":   "Look at the clock (timedatectl), and have it kept right: sudo timedatectl set-ntp true. If it is right, the server's certificate has expired: use another source.",
			"darwin":  "Look at the clock, and have it kept right: sudo sntp -sS time.apple.com. If it is right, the server's certificate has expired: use another source.",
			"windows": "Look at the clock, and have it kept right: w32tm /resync. If it is right, the server's certificate has expired: use another source.",
			"":        "Correct the clock. If it is right, the server's certificate has expired: use another source.",
		},
		host:  []string{`certificate has expired or is not yet valid`, `certificate is not yet valid`},
		guest: []string{`certificate (has expired or )?is not (yet )?valid`, `system (clock|time) (is )?(wrong|before build time)`},
	},
	{
		ID:      "tls-untrusted",
		Meaning: "The server's certificate comes from an authority that this computer doesn't know, as where a company's proxy or a virus scanner opens TLS connections.",
		remedy: remedy{
			"linux":   "Add the company's root certificate (Debian: copy it as NAME.crt to /usr/local/share/ca-certificates, then sudo update-ca-certificates; Fedora: sudo trust anchor FILE), or install ca-certificates if no site works. Then: rdd svc restart",
			"darwin":  "Add the company's root certificate to the System keychain and trust it, then: rdd svc restart",
			"windows": "Add the company's root certificate to the Trusted Root Certification Authorities, then: rdd svc restart",
			"":        "Add the company's root certificate to those that this computer trusts, then: rdd svc restart",
		},
		host: []string{`certificate signed by unknown authority`, `certificate is not trusted`, `failed to verify certificate`, `unable to get local issuer certificate`, `x509: certificate is valid for`},
	},
	{
		ID:      DatastoreUnreachable,
		Meaning: "The database or etcd cluster that keeps the control plane's objects doesn't answer or refuses the login; without it the service can't start.",
		remedy:  remedy{"": "Check that it runs and that this computer reaches it, then address, user and password: rdd svc create --datastore-endpoint URL (with the service stopped)."},
		host:    []string{`password authentication failed for user`, `SQLSTATE 28P01`},
	},
	{
		ID:      "dns",
		Meaning: "A host's name can't be resolved: there is no network, no DNS server answers, or the name is wrong.",
		remedy:  remedy{"": "Check the network connection, a VPN, and the spelling of the address. What a VM needs is tried again by itself."},
		host:    []string{`no such host`, `temporary failure in name resolution`, `name or service not known`, `server misbehaving`, `lookup \S+( on \S+)?: .*i/o timeout`},
	},
	{
		ID:      "network",
		Meaning: "A server can't be reached: there is no network, a firewall blocks it, or it is down.",
		remedy:  remedy{"": "Check the network connection and the firewall; behind a proxy set HTTPS_PROXY and restart the service (rdd svc restart). What a VM needs is tried again by itself."},
		host: []string{
			`(get|head|dial tcp|https?://).*(network is unreachable|no route to host|i/o timeout|connection timed out|TLS handshake timeout|Client\.Timeout exceeded)`,
			`(get|head) "?https?://.*connection refused`, `\S+ was not read within \d`,
		},
	},
	{
		ID:      DownloadCut,
		Meaning: "A download ended early or stalled.",
		remedy:  remedy{"": "It is tried again by itself. On a line where it never gets through, download the file in another way and name its path in the template."},
		host: []string{
			`(get|head|https?://|images\[|download).*(unexpected EOF|connection reset by peer|stream error|GOAWAY|broken pipe)`,
		},
	},

	// The VM's disk.
	{
		ID:      "disk-locked",
		Meaning: "Another process has the VM's disk open; two at once would destroy it.",
		remedy: remedy{
			"":      "End what uses the disk (another QEMU, qemu-img, a backup), then start the VM again.",
			"linux": "Find what uses the disk (fuser -v DISK) and end it, such as another QEMU, qemu-img or a backup; then start the VM again.",
		},
		host: []string{`failed to get (shared )?"(write|consistent read)" lock`, `is another process using the image`, `could not attach disk .* in use by instance`},
	},
	{
		ID:      VMBusy,
		Meaning: "Another process works on this VM: its hostagent or QEMU of an earlier run, or a preparation.",
		remedy:  remedy{"": "Wait until it has ended; it is tried again by itself. If it doesn't end: rdd vm stop NAME --force, or rdd svc restart"},
		host:    []string{`another QEMU of this VM still runs`}, // the QEMU wrapper's, in the hostagent's log
	},
	{
		ID:      "disk-damaged",
		Meaning: "The VM's disk image is damaged, as after a power cut or on a disk that was full.",
		remedy:  remedy{"": "Make a copy of the disk first, then repair it: qemu-img check -r all DISK. If that fails, rdd vm reset NAME gives the VM a new disk; what was on the old one is lost then."},
		host: []string{
			`image is (marked )?corrupt`, `marking image as corrupt`, `corrupt; cannot be opened read/write`, `image is not in qcow2 format`,
			`qcow2: .*(corrupt|invalid|overlap)`, `could not read (L1 table|refcount|snapshots|qcow2 header)`, `too much extra metadata in snapshot table`,
		},
	},
	{
		ID:      "image-unusable",
		Meaning: "The image is not a disk that a VM can be made from: it has another format, a backing file, or is for another architecture.",
		remedy:  remedy{"": "Use a raw or qcow2 cloud image for this architecture; qemu-img info FILE says what a file is, qemu-img convert -O qcow2 makes one of it."},
		host:    []string{`is not acceptable as the base disk`, `failed to inspect the format of`, `unknown (driver|file format)`},
	},
	{
		ID:      "datastore-locked",
		Meaning: "Another program has the control plane's database open.",
		remedy: remedy{
			"":      "End what has it open, such as a database browser or a backup; then: rdd svc start",
			"linux": "End what has it open (fuser -v $(rdd svc paths store)/*), such as a database browser or a backup; then: rdd svc start",
		},
		host: []string{`database is locked`, `SQLITE_BUSY`, `database table is locked`},
	},
	{
		ID:      DatastoreDamaged,
		Meaning: "The file that keeps the control plane's objects is damaged, empty or missing, as after a power cut on a disk that loses acknowledged writes, or an incomplete copy. The disks of virtual machines are files of their own and not touched by this.",
		remedy:  remedy{"": "Put the newest backup in its place with: rdd svc restore (rdd svc restore --list shows what there is; what is left of the damaged one is kept aside). Or begin with an empty one: rdd svc reset."},
		host:    []string{`database disk image is malformed`, `file is not a database`, `SQLITE_(CORRUPT|NOTADB)`},
	},

	{
		ID:      ConfigDamaged,
		Meaning: "The file that says which controllers the service runs and where its objects are kept is damaged or gone, so the service doesn't start: it could begin on an empty store.",
		remedy:  remedy{"": "Correct the file (rdd svc paths config), or write it again with the address of the database: rdd svc create --datastore-endpoint URL, or '' for SQLite in the data directory. The damaged file is kept beside it."},
	},
	{
		ID:      SettingsDamaged,
		Meaning: "The file with the settings of windows, waiting and the log level is damaged, so the defaults are used.",
		remedy:  remedy{"": "Correct or remove the file. The next change of a setting, in the window or the tray, keeps it beside the new one."},
	},

	{
		ID:      HomeUnusable,
		Meaning: "This user can't have virtual machines in this home directory: its path has a character that QEMU or ssh misreads, it is somebody else's, or the user has no name.",
		remedy:  remedy{"": "Run rdd as the owner of the home directory, never with sudo, or set HOME to a directory of your own with a plain path."},
	},

	// Space, memory, limits and rights of the host.
	{
		ID:      "too-many-files",
		Meaning: "A limit on open or watched files is reached.",
		remedy: remedy{
			"linux":  "Raise it for your session (ulimit -n 65536; for watches: sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=1048576), then: rdd svc restart",
			"darwin": "Raise it: sudo launchctl limit maxfiles 65536 524288, log in again, then: rdd svc restart",
			"":       "End programs that hold many files open, then: rdd svc restart",
		},
		host:  []string{`too many open files`, `inotify\w*.*no space left on device`, `ENFILE|EMFILE`},
		guest: []string{`file-max limit \d+ reached`, `failed to (create|allocate) inotify.*too many open files`},
	},
	{
		ID:      DiskFull,
		Meaning: "There is no space left on a disk of this computer; guests stop or lose what they write.",
		remedy:  remedy{"": "Free some space: rdd diagnose says how full each disk is. VM disks are in $(rdd svc paths lima), the control plane in $(rdd svc paths data); then start the VM again."},
		host:    []string{`no space left on device`, `disk quota exceeded`, `not enough space on the disk`, `database or disk is full`, `SQLITE_FULL`, `device .*(status: )?nospace`},
	},
	{
		ID:      DiskNearlyFull,
		Meaning: "A disk of this computer is nearly full. A VM's disk grows while it is used; when there is no space left its guest stops or loses what it writes.",
		remedy:  remedy{"": "Free some space, or delete VMs that are not needed (rdd vm list, rdd vm delete NAME)."},
	},
	{
		ID:      MemoryShort,
		Meaning: "This computer lacks the memory that the VM should have.",
		remedy:  remedy{"": "End other programs or VMs, or give the VM less memory: rdd vm edit NAME changes memory: in its template, for the next start."},
		host:    []string{`cannot set up guest memory`, `unable to map backing store for guest RAM`, `cannot allocate memory`, `\bENOMEM\b`, `host ran out of memory`, `insufficient system resources`, `paging file is too small`},
	},
	{
		ID:      SocketPathTooLong,
		Meaning: "A path to a socket is longer than systems allow (103 bytes on all of them).",
		remedy:  remedy{"": "Use a shorter name for the VM or the instance, or a home directory with a shorter path (HOME)."},
		host:    []string{`UNIX_PATH_MAX`, `unix socket path '[^']*' is too long`, `(listen|dial|bind)\S* unix\S* .*: bind: invalid argument`, `socket path \S+ (is )?too long`},
	},
	{
		ID:      StaleSocket,
		Meaning: "A socket or PID file is left of a process that ended without clearing up.",
		remedy:  remedy{"": "Nothing: the next start of the VM removes it. A socket of yours elsewhere, which the template names and nobody listens on, can be removed by hand."},
		host:    []string{`(unix:|\.sock)\S*.*address already in use`, `failed to bind socket to \S+`},
	},
	{
		ID:      PortInUse,
		Meaning: "Another program listens on a port that is needed here.",
		remedy: remedy{
			"":        "End that program, or use another port (ssh.localPort, portForwards in the template; of the API: rdd svc create --port).",
			"linux":   "Find it (ss -ltnp | grep PORT) and end it, or use another port (ssh.localPort, portForwards in the template; of the API: rdd svc create --port).",
			"darwin":  "Find it (lsof -nP -iTCP:PORT -sTCP:LISTEN) and end it, or use another port (ssh.localPort, portForwards in the template; of the API: rdd svc create --port).",
			"windows": "Find it (netstat -ano | findstr PORT) and end it, or use another port (ssh.localPort, portForwards in the template; of the API: rdd svc create --port).",
		},
		host: []string{`address already in use`, `could not set up host forwarding rule`, `only one usage of each socket address`, `bind: an attempt was made to access a socket`, `failed to find a free port`},
	},
	{
		ID:      "host-read-only",
		Meaning: "A disk of this computer can only be read: it was mounted so, or its file system has errors.",
		remedy: remedy{
			"":      "Make it writable, or set HOME to a place that is.",
			"linux": "See sudo dmesg | grep -i error for the cause; mount it writable, or set HOME (XDG_DATA_HOME, XDG_STATE_HOME) to a place that is.",
		},
		host: []string{`read-only file ?system`},
	},
	{
		ID:      "ssh-key-open",
		Meaning: "Other users of this computer can read the key by which virtual machines are entered, so ssh does not use it.",
		remedy:  remedy{"": "Make it yours alone, with the path that ssh names: chmod 600 ~/.rdd/INSTANCE/lima/_config/user. The next start of a VM does that, too."},
		host:    []string{`unprotected private key file`, `permissions 0\d+ for .* are too open`},
	},
	{
		ID:      "ssh-refused",
		Meaning: "The guest answers but doesn't let us in: it has another user or key than the VM's configuration says, as in a disk that was made elsewhere.",
		remedy:  remedy{"": "See what the guest did at boot: rdd vm logs NAME --source serial. An image without cloud-init or Lima's boot scripts can't be used; a disk from elsewhere needs a VM of its own."},
		host:    []string{`permission denied \((publickey|.*publickey.*)\)`, `too many authentication failures`, `host key verification failed`},
	},
	{
		ID:      FilesPermission,
		Meaning: "A file or folder of RDD's belongs to somebody else or may not be written, as after it was once run with sudo.",
		remedy: remedy{
			"":        "Make it yours again, or set HOME to a folder that is.",
			"linux":   "If rdd was run with sudo, stop what that started: sudo -E rdd svc stop. Make it yours again: sudo chown -R $USER ~/.rdd ~/.local/share/rdd ~/.local/state/rdd (rdd svc paths lists all). Never run rdd with sudo.",
			"darwin":  "If rdd was run with sudo, stop what that started: sudo -E rdd svc stop. Make it yours again: sudo chown -R $USER ~/.rdd ~/Library/Application\\ Support/rdd ~/Library/Logs/rdd. Never run rdd with sudo.",
			"windows": "Give yourself full access to the folder in its properties, Security; a virus scanner that guards folders has to allow rdd.",
		},
		host: []string{`\b(open|openat|create|mkdir|mkdirat|stat|lstat|readdirent|rename|remove|unlink|unlinkat|chdir|chmod|fork/exec) \S.*: (permission denied|access is denied|operation not permitted)`, `unable to open database file`},
	},
	{
		ID:      CredentialsOpen,
		Meaning: "Other users of this computer can read a file with credentials.",
		remedy:  remedy{"": "rdd svc restart replaces keys and tokens that others could read. Then close what is left: chmod go= FILE"},
	},

	// Mounts.
	{
		ID:      "mount-failed",
		Meaning: "A folder of the host can't be shared with the guest.",
		remedy:  remedy{"": "Check that the folder exists and is yours (mounts: in the template), or share it in another way (mountType: 9p)."},
		host:    []string{`failed to (prepare|mount) (reverse )?sshfs`, `mounts\[\d+\]\.location.*(inaccessible|non-directory)`},
	},

	// The guest.
	{
		ID:      "guest-no-root",
		Meaning: "The guest's kernel doesn't find its disk: the kernel, its command line or the image don't belong together, or the image is damaged.",
		remedy:  remedy{"": "rdd vm logs NAME --source serial shows what the kernel found. Use kernel, initrd and image of one release in the template. A disk that was made already keeps its image, so make another VM from the template: rdd vm create"},
		guest:   []string{`VFS: unable to mount root fs`, `VFS: cannot open root device`, `gave up waiting for (the )?root`, `no working init found`, `\(initramfs\)`, `ALERT!.*does not exist`},
	},
	{
		ID:      "guest-memory",
		Meaning: "The guest has run out of its memory.",
		remedy:  remedy{"": "Give it more memory (rdd vm edit NAME changes memory: in its template, then rdd vm restart NAME), or let less run in it."},
		guest:   []string{`out of memory: (killed|kill) process`, `system is deadlocked on memory`, `invoked oom-killer`},
	},
	{
		ID:      GuestPanic,
		Meaning: "The guest's kernel has crashed; what it had not written is lost.",
		remedy:  remedy{"": "rdd vm logs NAME --source serial shows why. Start it again; if it crashes at each boot, try another processor or image, and with an emulated guest a newer QEMU."},
		guest:   []string{`kernel panic`, `end kernel panic`},
	},
	{
		ID:      "guest-disk-full",
		Meaning: "The guest's disk is full.",
		remedy:  remedy{"": "Free space in it: rdd vm shell NAME, then for the container engine: docker system prune. Or make its disk larger: rdd vm edit NAME changes disk: in its template, then rdd vm restart NAME. A disk can only grow."},
		guest:   []string{`no space left on device`, `\bENOSPC\b`, `EXT4-fs .*: delayed block allocation failed`, `disk full`},
	},
	{
		ID:      "guest-disk-read-only",
		Meaning: "The guest's disk has errors, so its system has made it read-only.",
		remedy:  remedy{"": "Check that this computer's disk is not full (rdd diagnose), then restart the VM, which repairs the file system: rdd vm restart NAME"},
		guest:   []string{`remounting filesystem read-only`, `EXT4-fs error`, `(XFS|BTRFS).*(metadata I/O error|corruption|forced readonly)`, `I/O error, dev [vs]d`, `read-only file ?system`},
	},
	{
		ID:      "guest-emergency",
		Meaning: "The guest's system could not boot fully and waits on its console for somebody to repair it.",
		remedy:  remedy{"": "rdd vm logs NAME --source serial shows which unit failed, often a disk in /etc/fstab. If it can't be repaired, rdd vm reset NAME gives the VM a new disk; what was on the old one is lost then."},
		guest:   []string{`you are in (emergency|rescue) mode`, `entering emergency mode`, `press enter for maintenance`, `give root password for maintenance`},
	},
	{
		ID:      "guest-not-bootable",
		Meaning: "The image holds no system that boots here: it is for another architecture or firmware, or no disk image at all.",
		remedy:  remedy{"": "Use an image for this architecture; for an image without UEFI set firmware.legacyBIOS: true in the template."},
		guest:   []string{`no bootable device`, `BdsDxe: (failed to load|no bootable option)`, `boot failed: not a bootable disk`, `grub rescue>`, `UEFI interactive shell`},
	},
	{
		ID:      "guest-agent-silent",
		Meaning: "The guest runs, but Lima's agent in it doesn't answer, so ports are not forwarded.",
		remedy:  remedy{"": "Look at it: rdd vm shell NAME systemctl status lima-guestagent. Restarting the VM mostly helps: rdd vm restart NAME"},
		host:    []string{`guest agent does not seem to be running`},
	},
	{
		ID:      SSHSilent,
		Meaning: "The guest's SSH server has not answered yet: it boots slowly, has stopped while booting, or its network doesn't work.",
		remedy:  remedy{"": "Emulated guests need minutes; see whether its console moves on: rdd vm logs NAME --source serial -f. If not: rdd vm stop NAME --force, then rdd vm start NAME"},
		host:    []string{`failed to satisfy the essential requirement \d+ of \d+ "ssh"`, `did not receive an event with the "running" status`, `kex_exchange_identification`},
	},
	{
		ID:      GuestScripts,
		Meaning: "The guest answers, but its boot or provisioning scripts have not come to their end.",
		remedy:  remedy{"": "See what they do: rdd vm logs NAME --source serial, and in the guest /var/log/cloud-init-output.log. Scripts that download wait for the network."},
		host:    []string{`failed to satisfy the (essential|optional|final) requirement`, `boot scripts must have finished`},
	},

	// What only checks find.
	{
		ID:      ClockSetBack,
		Meaning: "Files here are from the future: the clock was set back, or was ahead when they were written. RDD compares no clocks, but downloads in guests and on this computer check certificates by it.",
		remedy: remedy{
			"":      "See that the clock is right now.",
			"linux": "See that the clock is right now (timedatectl), and have it kept right: sudo timedatectl set-ntp true",
		},
	},
	{
		ID:      HalfMadeVM,
		Meaning: "The making of this VM was cut short, so it has no whole disk and never ran.",
		remedy:  remedy{"": "If it is in rdd vm list, the service makes it again by itself. If not: rdd vm delete NAME --orphan"},
	},
	{
		ID:      OrphanVM,
		Meaning: "A VM is on this computer that the service doesn't know, as after restoring a backup that is older than the VM. It is neither started nor removed.",
		remedy:  remedy{"": "Take it in: rdd vm adopt NAME. Or remove it with its disk: rdd vm delete NAME --orphan"},
	},
	{
		ID:      StaleLock,
		Meaning: "A disk is noted as used by a VM that doesn't run.",
		remedy:  remedy{"": "Nothing, if that VM is started again, which takes the disk over. Else remove the note: rm FILE"},
	},
	{
		ID:      LeftoverProcess,
		Meaning: "A VM runs though the service doesn't: it outlived a service that crashed or was killed.",
		remedy:  remedy{"": "Start the service, which takes it over (rdd svc start), or stop it: rdd svc stop"},
	},
	{
		ID:      ServiceCrashed,
		Meaning: "The last run of the service ended without having been asked to: it crashed, was killed, or the computer lost power. Nothing that was acknowledged is lost.",
		remedy:  remedy{"": "rdd svc start goes on where it ended. If it happens again, see the log (rdd svc log) and make a bundle for a report: rdd diagnose --bundle rdd.tar.gz"},
	},
	{
		ID:      ServiceBroken,
		Meaning: "The service could not start, or lives and does not answer.",
		remedy:  remedy{"": "See why (rdd svc log) and try again: rdd svc restart"},
	},
	{
		ID:      VMFailed,
		Meaning: "The VM is not as it was asked to be.",
		remedy:  remedy{"": "rdd vm show NAME says why, rdd vm logs NAME and rdd vm logs NAME --source serial tell more; rdd vm start NAME tries again."},
	},
	{
		ID:      VMDegraded,
		Meaning: "The VM runs, but something in it doesn't work.",
		remedy:  remedy{"": "Correct what is named (rdd vm edit NAME changes scripts, probes and ports), then restart the VM: rdd vm restart NAME. rdd vm logs NAME tells more."},
	},
}
