package diag

// The problems that code refers to. The others are only found by their patterns.
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
	GuestRefused           ID = "guest-refused"
	SSHSilent              ID = "ssh-silent"
	GuestScripts           ID = "guest-scripts"
	VMFailed               ID = "vm-failed"
	VMDegraded             ID = "vm-degraded"
)

// problems is the table. Match returns the first entry that matches, so the specific ones come before the general.
// The patterns are messages of QEMU, Lima, OpenSSH, Linux, Go's library, SQLite and RDD.
var problems = []KnownProblem{
	// Hardware acceleration.
	{
		ID:      AccelerationPermission,
		Meaning: "You don't have permission to use hardware acceleration on this computer. VMs run in emulation, which is several times slower, or don't start if they require acceleration.",
		remedy:  "Ask your administrator for permission to run VMs, then log in again.",
		linux:   "Add yourself to the group of /dev/kvm (sudo usermod -aG kvm $USER), then log out and log in again. If there is no such group: sudo setfacl -m u:$USER:rw /dev/kvm",
		darwin:  "QEMU lacks the entitlement com.apple.security.hypervisor. Reinstall it: brew reinstall qemu",
		host: []string{
			`could not access KVM kernel module: (permission denied|operation not permitted)`,
			`failed to initialize kvm: (permission denied|operation not permitted)`,
			`/dev/kvm\S*: permission denied`, `HV_DENIED`,
		},
	},
	{
		ID:      "acceleration-busy",
		Meaning: "Another program is using the processor's virtualization, and only one program can use it at a time.",
		remedy:  "Quit the other hypervisor (VirtualBox, VMware, an Android emulator), then start the VM again.",
		linux:   "Quit the other hypervisor (VirtualBox, VMware) or unload its kernel modules (lsmod | grep -E 'vboxdrv|vmmon'), then start the VM again.",
		host:    []string{`ioctl\(KVM_CREATE_VM\) failed: 16`, `KVM_CREATE_VM.*device or resource busy`, `HV_BUSY`},
	},
	{
		ID:      AccelerationHangs,
		Meaning: "Hardware acceleration is available, but guests hang when they use it, as happens under some nested hypervisors. VMs run in emulation, which is several times slower.",
		remedy:  "If this computer is a VM, enable nested virtualization in its hypervisor. Otherwise update the firmware and QEMU. Until then, VMs with acceleration: Auto run in emulation.",
		linux:   "If this computer is a VM, enable nested virtualization in its hypervisor. Otherwise update the firmware, the kernel and QEMU. Then reboot, because RDD tests acceleration once per boot. Until then, VMs with acceleration: Auto run in emulation.",
	},
	{
		ID:      AccelerationBroken,
		Meaning: "Hardware acceleration is available, but fails on a feature of this processor, as happens under some nested hypervisors.",
		remedy:  "Update QEMU and the firmware. If this computer is a VM, enable nested virtualization in its hypervisor. Until then, use emulation: rdd vm create NAME TEMPLATE --acceleration Emulation",
		host: []string{
			`KVM internal error`, `kvm run failed`, `failed to set MSR 0x`, `kvm_buf_set_msrs: assertion`, `kvm_msr_buf->nmsrs`,
			`but a test guest fails under it`, `WHPX: (failed|unexpected)`, `Unexpected VP exit code`, `HV_(ERROR|UNSUPPORTED|BAD_ARGUMENT)`,
		},
	},
	{
		ID:      NestedVirtualization,
		Meaning: "This computer is itself a VM, and its hypervisor doesn't provide nested virtualization. VMs run in emulation, which is several times slower.",
		remedy:  "Enable nested virtualization for this computer in its hypervisor or at the cloud provider, then reboot it. Until then, VMs with acceleration: Auto run in emulation.",
		host:    []string{`nested virtualization is (not|disabled)`, `nested VMX (is )?(not|disabled)`},
	},
	{
		ID:      AccelerationMissing,
		Meaning: "Hardware acceleration is not available. VMs run in emulation, which is several times slower, or don't start if they require acceleration.",
		remedy:  "Enable virtualization (Intel VT-x, AMD-V or SVM) in the firmware.",
		linux:   "Enable virtualization (Intel VT-x, AMD-V or SVM) in the firmware, then load the kernel module: sudo modprobe kvm_intel (or kvm_amd)",
		windows: "Enable virtualization in the firmware. Then enable the Windows feature as administrator, and reboot: dism /online /enable-feature /featurename:HypervisorPlatform",
		host: []string{
			`could not access KVM kernel module: no such (file|device)`, `failed to initialize (kvm|hvf|whpx)`,
			`invalid accelerator (kvm|hvf|whpx)`, `WHPX: no accelerator found`, `accelerator "?\w+"? is not supported by`, `KVM is not available`,
		},
	},
	{
		ID:      "cpu-unsupported",
		Meaning: "QEMU, this computer or the guest's operating system does not support the processor type of the VM.",
		remedy:  "Remove cpuType (or -cpu) from the template, so that a suitable processor type is used. If the message is from the guest, use an image for older processors.",
		host:    []string{`unable to find CPU model`, `cpu "[^"]*" is not supported by`, `host doesn't support requested features`, `CPU model '?host'? requires KVM`},
		guest:   []string{`this kernel requires the following features not present on the CPU`, `CPU (ISA level is lower than required|does not support x86-64-v)`},
	},

	// Programs and files that RDD needs.
	{
		ID:      ServicePath,
		Meaning: "A program that VMs need is installed, but is not in the PATH of the running service. The service keeps the PATH of the terminal or login session that started it.",
		remedy:  "Restart the service from a terminal that finds the program: rdd svc restart. If the service starts at login, also add the program's folder to the PATH of your login session.",
	},
	{
		ID:      QEMUMissing,
		Meaning: "A program that RDD needs to run VMs or to connect to them is not installed, or is not in the service's PATH.",
		remedy:  "Install QEMU and OpenSSH, then: rdd svc restart",
		linux: "Install QEMU and OpenSSH. Debian, Ubuntu: sudo apt install qemu-system-x86 qemu-utils openssh-client (on ARM: qemu-system-arm). " +
			"Fedora: sudo dnf install qemu-system-x86 qemu-img openssh-clients. Arch: sudo pacman -S qemu-base openssh. If they are installed, restart the service from a terminal that finds them: rdd svc restart",
		darwin:  "Install QEMU (brew install qemu), then: rdd svc restart",
		windows: "Install QEMU (winget install SoftwareFreedomConservancy.QEMU) and add its folder to PATH, then: rdd svc restart",
		host:    []string{`failed to find the QEMU binary`, `exec: "(qemu-[a-z0-9_-]+|ssh|ssh-keygen)(\.exe)?": executable file not found`},
	},
	{
		ID:      QEMUTooOld,
		Meaning: "The installed version of QEMU is too old for RDD.",
		remedy:  "Install a newer version of QEMU.",
		linux:   "Install a newer version of QEMU. On Debian, use backports: sudo apt install -t $(. /etc/os-release; echo $VERSION_CODENAME)-backports qemu-system",
		darwin:  "Update QEMU: brew upgrade qemu",
		host:    []string{`QEMU \S+ is too old`},
	},
	{
		ID:      "firmware-missing",
		Meaning: "The VM's firmware (UEFI or BIOS) is not in the folder where QEMU's packages install it.",
		remedy:  "The firmware comes with QEMU. Reinstall QEMU, or set firmware.legacyBIOS: true in the template.",
		linux:   "Install the firmware. Debian, Ubuntu: sudo apt install ovmf (on ARM: qemu-efi-aarch64). Fedora: sudo dnf install edk2-ovmf. Arch: sudo pacman -S edk2-ovmf. Or set firmware.legacyBIOS: true in the template.",
		darwin:  "The firmware comes with QEMU. Reinstall QEMU: brew reinstall qemu",
		host:    []string{`could not find firmware`, `could not load (pc )?bios`, `could not open '[^']*(ovmf|edk2|bios)[^']*'`, `could not initialize flash`},
	},
	{
		ID:      InstallBroken,
		Meaning: "One of RDD's programs is missing, can't be run, or was built for another kind of computer.",
		remedy:  "Reinstall RDD. If you unpacked it yourself, set RDD_LIBEXEC to its libexec folder.",
		host:    []string{`exec format error`, `not a valid Win32 application`, `bad CPU type in executable`},
	},
	{
		ID:      VersionMismatch,
		Meaning: "RDD's programs have different versions, which are not tested together.",
		remedy:  "After an update, restart the service: rdd svc restart. If that doesn't help, reinstall RDD.",
	},
	{
		ID:      "virtiofsd-missing",
		Meaning: "The template shares folders with virtiofs, but virtiofsd is not installed.",
		remedy:  "Set mountType: 9p in the template.",
		linux:   "Install the package virtiofsd (it has this name in Debian, Fedora and Arch), or set mountType: 9p in the template.",
		host:    []string{`failed to locate virtiofsd`, `virtiofsd never created`, `vhost socket \S+ never appeared`},
	},

	// Downloads.
	{
		ID:      ImageDigest,
		Meaning: "The file does not match the digest in the template. It was changed at its source, is damaged, or was tampered with.",
		remedy:  "Check with the image's publisher which digest is correct. If the digest in the template is outdated, correct it: rdd vm edit NAME. If the file is damaged, download it again.",
		host:    []string{`expected digest (of )?"?sha\d+:`, `digest mismatch`},
	},
	{
		ID:      DownloadMissing,
		Meaning: "The server doesn't have this file. Distributions remove old images.",
		remedy:  "Correct the location in the template, or use a newer template. template://NAME is a template that comes with RDD.",
		host:    []string{`unexpected HTTP status (not found|gone)`},
	},
	{
		ID:      "download-denied",
		Meaning: "The server refused the download. It requires a login, or received too many requests from your address.",
		remedy:  "Wait a few minutes and try again. If the server requires a login, or if many people share your address, download the file yourself and use its path in the template.",
		host:    []string{`unexpected HTTP status (forbidden|unauthorized|too many requests)`, `\b(401 Unauthorized|403 Forbidden|429 Too Many Requests)\b`},
	},
	{
		ID:      "proxy",
		Meaning: "The proxy in HTTPS_PROXY or HTTP_PROXY does not respond or requires a login.",
		remedy:  "Correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY (with a login: http://USER:PASSWORD@HOST:PORT). Then restart the service, which keeps the environment that it was started with: rdd svc restart",
		host:    []string{`proxyconnect`, `proxy authentication required`, `malformed HTTP response .*proxy`, `socks connect`},
	},
	{
		ID:      ClockWrong,
		Meaning: "A certificate is not valid at the current time. The clock is wrong, or the certificate has expired.",
		remedy:  "Set the clock. If it is right, the server's certificate has expired: use another source.",
		linux:   "Check the clock (timedatectl) and synchronize it: sudo timedatectl set-ntp true. If it is right, the server's certificate has expired: use another source.",
		darwin:  "Check the clock and synchronize it: sudo sntp -sS time.apple.com. If it is right, the server's certificate has expired: use another source.",
		windows: "Check the clock and synchronize it: w32tm /resync. If it is right, the server's certificate has expired: use another source.",
		host:    []string{`certificate has expired or is not yet valid`, `certificate is not yet valid`},
		guest:   []string{`certificate (has expired or )?is not (yet )?valid`, `system (clock|time) (is )?(wrong|before build time)`},
	},
	{
		ID:      "tls-untrusted",
		Meaning: "This computer doesn't trust the issuer of the server's certificate. A company proxy or a virus scanner that inspects TLS connections can be the cause.",
		remedy:  "Add the company's root certificate to those that this computer trusts, then: rdd svc restart",
		linux:   "Add the company's root certificate. Debian: copy it to /usr/local/share/ca-certificates/NAME.crt, then sudo update-ca-certificates. Fedora: sudo trust anchor FILE. If no site works, install the package ca-certificates. Then: rdd svc restart",
		darwin:  "Add the company's root certificate to the System keychain and trust it, then: rdd svc restart",
		windows: "Add the company's root certificate to the Trusted Root Certification Authorities, then: rdd svc restart",
		host:    []string{`certificate signed by unknown authority`, `certificate is not trusted`, `failed to verify certificate`, `unable to get local issuer certificate`, `x509: certificate is valid for`},
	},
	{
		ID:      DatastoreUnreachable,
		Meaning: "The database or etcd cluster that stores the control plane's objects does not respond or refuses the login. The service can't start without it.",
		remedy:  "Check that the database runs, that this computer can reach it, and that the address, user and password are correct. To change them, stop the service, then: rdd svc create --datastore-endpoint URL",
		host:    []string{`password authentication failed for user`, `SQLSTATE 28P01`},
	},
	{
		ID:      "dns",
		Meaning: "A host name can't be resolved. There is no network connection, no DNS server responds, or the name is wrong.",
		remedy:  "Check the network connection, the VPN and the spelling of the address. Downloads for a VM are retried automatically.",
		host:    []string{`no such host`, `temporary failure in name resolution`, `name or service not known`, `server misbehaving`, `lookup \S+( on \S+)?: .*i/o timeout`},
	},
	{
		ID:      "network",
		Meaning: "A server can't be reached. There is no network connection, a firewall blocks it, or the server is down.",
		remedy:  "Check the network connection and the firewall. Behind a proxy, set HTTPS_PROXY and restart the service: rdd svc restart. Downloads for a VM are retried automatically.",
		host: []string{
			`(get|head|dial tcp|https?://).*(network is unreachable|no route to host|i/o timeout|connection timed out|TLS handshake timeout|Client\.Timeout exceeded)`,
			`(get|head) "?https?://.*connection refused`, `\S+ was not read within \d`,
		},
	},
	{
		ID:      DownloadCut,
		Meaning: "A download was interrupted or stalled.",
		remedy:  "The download is retried automatically. If it never completes, download the file with another program and use its path in the template.",
		host:    []string{`(get|head|https?://|images\[|download).*(unexpected EOF|connection reset by peer|stream error|GOAWAY|broken pipe)`},
	},

	// The VM's disk.
	{
		ID:      "disk-locked",
		Meaning: "Another process has the VM's disk open. Two processes that write to it would destroy it.",
		remedy:  "Stop the process that uses the disk, such as another QEMU, qemu-img or a backup. Then start the VM again.",
		linux:   "Find the process that uses the disk (fuser -v DISK) and stop it. It can be another QEMU, qemu-img or a backup. Then start the VM again.",
		host:    []string{`failed to get (shared )?"(write|consistent read)" lock`, `is another process using the image`, `could not attach disk .* in use by instance`},
	},
	{
		ID:      VMBusy,
		Meaning: "Another process is working on this VM: the hostagent or QEMU of an earlier run, or the preparation of its disk.",
		remedy:  "Wait until the process ends. RDD retries automatically. If the process doesn't end: rdd vm stop NAME --force, or rdd svc restart",
		host:    []string{`another QEMU of this VM still runs`}, // the QEMU wrapper writes it to the hostagent's log
	},
	{
		ID:      "disk-damaged",
		Meaning: "The VM's disk image is damaged, for example by a power failure or because the disk it is on was full.",
		remedy:  "Copy the disk image first, then repair it: qemu-img check -r all DISK. If that fails, rdd vm reset NAME recreates the VM's disk. All data on the old one is lost.",
		host: []string{
			`image is (marked )?corrupt`, `marking image as corrupt`, `corrupt; cannot be opened read/write`, `image is not in qcow2 format`,
			`qcow2: .*(corrupt|invalid|overlap)`, `could not read (L1 table|refcount|snapshots|qcow2 header)`, `too much extra metadata in snapshot table`,
		},
	},
	{
		ID:      "image-unusable",
		Meaning: "The image can't be used as the disk of a VM. It has an unsupported format or a backing file, or is for another architecture.",
		remedy:  "Use a raw or qcow2 cloud image for this architecture. qemu-img info FILE shows the format of a file, and qemu-img convert -O qcow2 converts it.",
		host:    []string{`is not acceptable as the base disk`, `failed to inspect the format of`, `unknown (driver|file format)`},
	},

	// The files of the service.
	{
		ID:      "datastore-locked",
		Meaning: "Another program has the control plane's database open.",
		remedy:  "Close the program that has the database open, such as a database browser or a backup. Then: rdd svc start",
		linux:   "Find the program that has the database open (fuser -v $(rdd svc paths store)/*) and close it. It can be a database browser or a backup. Then: rdd svc start",
		host:    []string{`database is locked`, `SQLITE_BUSY`, `database table is locked`},
	},
	{
		ID:      DatastoreDamaged,
		Meaning: "The control plane's database file is damaged, empty or missing, for example after a power failure on a disk that loses acknowledged writes, or because a copy was incomplete. VM disks are separate files and not affected.",
		remedy:  "Restore the newest backup: rdd svc restore (rdd svc restore --list shows all backups). The damaged file is kept. To delete all VMs and start with an empty database instead: rdd svc reset",
		host:    []string{`database disk image is malformed`, `file is not a database`, `SQLITE_(CORRUPT|NOTADB)`},
	},
	{
		ID:      ConfigDamaged,
		Meaning: "The file that configures the service's controllers and datastore is damaged or missing. The service doesn't start, because it could start with an empty datastore.",
		remedy:  "Correct the file (rdd svc paths config), or write it again with the address of the database: rdd svc create --datastore-endpoint URL, or '' for SQLite in the data directory. The damaged file is kept.",
	},
	{
		ID:      SettingsDamaged,
		Meaning: "The file with the settings of the desktop, the timeouts and the log level is damaged. RDD uses the default settings.",
		remedy:  "Correct or delete the file. When you change a setting in the window or the tray, RDD writes a new file and keeps the damaged one.",
	},
	{
		ID:      HomeUnusable,
		Meaning: "VMs can't run from this home directory. Its path has a character that QEMU or ssh misinterprets, it belongs to another user, or your user has no name.",
		remedy:  "Run rdd as the owner of the home directory and without sudo, or set HOME to a directory of your own whose path has no special characters.",
	},

	// Space, memory, limits and permissions of the host.
	{
		ID:      "too-many-files",
		Meaning: "The limit on open or watched files has been reached.",
		remedy:  "Close programs that have many files open, then: rdd svc restart",
		linux:   "Raise the limit for your session (ulimit -n 65536; for watches: sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=1048576), then: rdd svc restart",
		darwin:  "Raise the limit (sudo launchctl limit maxfiles 65536 524288), log in again, then: rdd svc restart",
		host:    []string{`too many open files`, `inotify\w*.*no space left on device`, `ENFILE|EMFILE`},
		guest:   []string{`file-max limit \d+ reached`, `failed to (create|allocate) inotify.*too many open files`},
	},
	{
		ID:      DiskFull,
		Meaning: "A disk of this computer is full. Guests stop or lose what they write.",
		remedy:  "Free some space, then start the VM again. rdd diagnose shows how full each disk is. VM disks are in $(rdd svc paths lima), the control plane is in $(rdd svc paths data).",
		host:    []string{`no space left on device`, `disk quota exceeded`, `not enough space on the disk`, `database or disk is full`, `SQLITE_FULL`, `device .*(status: )?nospace`},
	},
	{
		ID:      DiskNearlyFull,
		Meaning: "A disk of this computer is almost full. A VM's disk grows as it is used. When no space is left, its guest stops or loses what it writes.",
		remedy:  "Free some space, or delete VMs that you don't need (rdd vm list, rdd vm delete NAME).",
	},
	{
		ID:      MemoryShort,
		Meaning: "This computer doesn't have enough free memory for the VM.",
		remedy:  "Close other programs, stop other VMs, or give the VM less memory: rdd vm edit NAME changes memory: in its template. The change applies at the next start.",
		host:    []string{`cannot set up guest memory`, `unable to map backing store for guest RAM`, `cannot allocate memory`, `\bENOMEM\b`, `host ran out of memory`, `insufficient system resources`, `paging file is too small`},
	},
	{
		ID:      SocketPathTooLong,
		Meaning: "The path of a socket is too long. All systems allow 103 bytes.",
		remedy:  "Use a shorter name for the VM or the instance, or set HOME to a directory with a shorter path.",
		host:    []string{`UNIX_PATH_MAX`, `unix socket path '[^']*' is too long`, `(listen|dial|bind)\S* unix\S* .*: bind: invalid argument`, `socket path \S+ (is )?too long`},
	},
	{
		ID:      StaleSocket,
		Meaning: "A process ended without removing its socket or PID file.",
		remedy:  "You don't have to do anything: the next start of the VM removes the file. If the template puts a socket of yours elsewhere and no program listens on it, you can delete it.",
		host:    []string{`(unix:|\.sock)\S*.*address already in use`, `failed to bind socket to \S+`},
	},
	{
		ID:      PortInUse,
		Meaning: "Another program is using a port that RDD needs.",
		remedy:  "Stop that program, or use another port (ssh.localPort or portForwards in the template; for the API: rdd svc create --port).",
		linux:   "Find the program (ss -ltnp | grep PORT) and stop it, or use another port (ssh.localPort or portForwards in the template; for the API: rdd svc create --port).",
		darwin:  "Find the program (lsof -nP -iTCP:PORT -sTCP:LISTEN) and stop it, or use another port (ssh.localPort or portForwards in the template; for the API: rdd svc create --port).",
		windows: "Find the program (netstat -ano | findstr PORT) and stop it, or use another port (ssh.localPort or portForwards in the template; for the API: rdd svc create --port).",
		host:    []string{`address already in use`, `could not set up host forwarding rule`, `only one usage of each socket address`, `bind: an attempt was made to access a socket`, `failed to find a free port`},
	},
	{
		ID:      "host-read-only",
		Meaning: "A disk of this computer is read-only. It was mounted that way, or its file system has errors.",
		remedy:  "Make the disk writable, or set HOME to a directory on another disk.",
		linux:   "Find the cause (sudo dmesg | grep -i error) and mount the disk writable, or set HOME (and XDG_DATA_HOME, XDG_STATE_HOME) to directories on another disk.",
		host:    []string{`read-only file ?system`},
	},
	{
		ID:      "ssh-key-open",
		Meaning: "Other users of this computer can read RDD's SSH key, so ssh does not use it.",
		remedy:  "Make the key private. ssh names its path: chmod 600 ~/.rdd/INSTANCE/lima/_config/user. The next start of a VM does this, too.",
		host:    []string{`unprotected private key file`, `permissions 0\d+ for .* are too open`},
	},
	{
		ID:      "ssh-refused",
		Meaning: "The guest refuses the SSH login. It has another user or key than the VM's configuration, for example because the disk was created elsewhere.",
		remedy:  "See what the guest did while it booted: rdd vm logs NAME --source serial. An image without cloud-init or Lima's boot scripts doesn't work. A disk from elsewhere needs a VM of its own.",
		host:    []string{`permission denied \((publickey|.*publickey.*)\)`, `too many authentication failures`, `host key verification failed`},
	},
	{
		ID:      FilesPermission,
		Meaning: "One of RDD's files or folders belongs to another user or is not writable, for example because rdd was run with sudo.",
		remedy:  "Change the owner to your user, or set HOME to a directory that you own.",
		linux:   "If rdd was run with sudo, stop what it started: sudo -E rdd svc stop. Then change the owner: sudo chown -R $USER ~/.rdd ~/.local/share/rdd ~/.local/state/rdd (rdd svc paths lists all folders). Never run rdd with sudo.",
		darwin:  "If rdd was run with sudo, stop what it started: sudo -E rdd svc stop. Then change the owner: sudo chown -R $USER ~/.rdd ~/Library/Application\\ Support/rdd ~/Library/Logs/rdd. Never run rdd with sudo.",
		windows: "Give yourself full access to the folder: Properties, Security. If a virus scanner protects the folder, allow RDD in it.",
		host:    []string{`\b(open|openat|create|mkdir|mkdirat|stat|lstat|readdirent|rename|remove|unlink|unlinkat|chdir|chmod|fork/exec) \S.*: (permission denied|access is denied|operation not permitted)`, `unable to open database file`},
	},
	{
		ID:      CredentialsOpen,
		Meaning: "Other users of this computer can read a file with credentials.",
		remedy:  "Replace the keys and tokens that others could read: rdd svc restart. Then make the other files private: chmod go= FILE",
	},

	// Mounts.
	{
		ID:      "mount-failed",
		Meaning: "A folder of this computer can't be mounted in the guest.",
		remedy:  "Check that the folder exists and that you own it (mounts: in the template), or share it in another way (mountType: 9p).",
		host:    []string{`failed to (prepare|mount) (reverse )?sshfs`, `mounts\[\d+\]\.location.*(inaccessible|non-directory)`},
	},

	// The guest.
	{
		ID:      "guest-no-root",
		Meaning: "The guest's kernel can't find its root disk. The kernel, its command line and the image don't match, or the image is damaged.",
		remedy:  "See what the kernel found: rdd vm logs NAME --source serial. Use a kernel, initrd and image of the same release in the template. An existing disk keeps its image, so create another VM from the template: rdd vm create",
		guest:   []string{`VFS: unable to mount root fs`, `VFS: cannot open root device`, `gave up waiting for (the )?root`, `no working init found`, `\(initramfs\)`, `ALERT!.*does not exist`},
	},
	{
		ID:      "guest-memory",
		Meaning: "The guest ran out of memory.",
		remedy:  "Give the VM more memory (rdd vm edit NAME changes memory: in its template, then rdd vm restart NAME), or run fewer programs in it.",
		guest:   []string{`out of memory: (killed|kill) process`, `system is deadlocked on memory`, `invoked oom-killer`},
	},
	{
		ID:      GuestPanic,
		Meaning: "The guest's kernel crashed. Data that it had not written to the disk is lost.",
		remedy:  "See the cause: rdd vm logs NAME --source serial. Then start the VM again. If it crashes at each boot, try another processor type or image. If the guest is emulated, try a newer QEMU.",
		guest:   []string{`kernel panic`},
	},
	{
		ID:      GuestRefused,
		Meaning: "The VM was given a newer system disk, which does not boot, or does not start the container engine. The old one comes back as it was, and the data disk is kept.",
		remedy:  "RDD starts the VM with the old system disk; no action is needed. The next version of RDD tries again. Please report the problem, with the file that the message names.",
	},
	{
		ID:      "guest-disk-full",
		Meaning: "The guest's disk is full.",
		remedy:  "Free space in the guest: rdd vm shell NAME, then for the container engine: docker system prune. Or make its disk larger: rdd vm edit NAME changes disk: in its template, then rdd vm restart NAME. A disk can't be made smaller.",
		guest:   []string{`no space left on device`, `\bENOSPC\b`, `EXT4-fs .*: delayed block allocation failed`, `disk full`},
	},
	{
		ID:      "guest-disk-read-only",
		Meaning: "The guest's disk has errors, so the guest has made it read-only.",
		remedy:  "Check that this computer's disk is not full: rdd diagnose. Then restart the VM, which repairs the file system: rdd vm restart NAME",
		guest:   []string{`remounting filesystem read-only`, `EXT4-fs error`, `(XFS|BTRFS).*(metadata I/O error|corruption|forced readonly)`, `I/O error, dev [vs]d`, `read-only file ?system`},
	},
	{
		ID:      "guest-emergency",
		Meaning: "The guest could not boot completely. It is in emergency mode and waits for a repair on its console.",
		remedy:  "See which unit failed, often a disk in /etc/fstab: rdd vm logs NAME --source serial. If you can't repair it, rdd vm reset NAME recreates the VM's disk. All data on the old one is lost.",
		guest:   []string{`you are in (emergency|rescue) mode`, `entering emergency mode`, `press enter for maintenance`, `give root password for maintenance`},
	},
	{
		ID:      "guest-not-bootable",
		Meaning: "The image has no operating system that boots in this VM. It is for another architecture or firmware, or is not a disk image.",
		remedy:  "Use an image for this architecture. For an image without UEFI, set firmware.legacyBIOS: true in the template.",
		guest:   []string{`no bootable device`, `BdsDxe: (failed to load|no bootable option)`, `boot failed: not a bootable disk`, `grub rescue>`, `UEFI interactive shell`},
	},
	{
		ID:      "guest-agent-silent",
		Meaning: "The guest runs, but Lima's guest agent does not respond, so ports are not forwarded.",
		remedy:  "Check the guest agent: rdd vm shell NAME systemctl status lima-guestagent. Restarting the VM usually helps: rdd vm restart NAME",
		host:    []string{`guest agent does not seem to be running`},
	},
	{
		ID:      SSHSilent,
		Meaning: "The guest's SSH server does not respond yet. The guest boots slowly, hangs while it boots, or has no network.",
		remedy:  "An emulated guest needs several minutes to boot. See whether its console shows progress: rdd vm logs NAME --source serial -f. If not: rdd vm stop NAME --force, then rdd vm start NAME",
		host:    []string{`failed to satisfy the essential requirement \d+ of \d+ "ssh"`, `did not receive an event with the "running" status`, `kex_exchange_identification`},
	},
	{
		ID:      GuestScripts,
		Meaning: "The guest responds, but its boot or provisioning scripts have not finished.",
		remedy:  "See what the scripts do: rdd vm logs NAME --source serial, and /var/log/cloud-init-output.log in the guest. Scripts that download files wait for the network.",
		host:    []string{`failed to satisfy the (essential|optional|final) requirement`, `boot scripts must have finished`},
	},

	// Problems that only checks find.
	{
		ID:      ClockSetBack,
		Meaning: "Files have a modification time in the future. The clock was set back, or was ahead when they were written. RDD doesn't depend on the clock, but downloads on this computer and in guests use it to check certificates.",
		remedy:  "Check that the clock is right now.",
		linux:   "Check the clock (timedatectl) and synchronize it: sudo timedatectl set-ntp true",
	},
	{
		ID:      HalfMadeVM,
		Meaning: "The creation of this VM was interrupted. Its disk is incomplete, and it never ran.",
		remedy:  "If rdd vm list shows the VM, the service completes it automatically. If not, delete it: rdd vm delete NAME --orphan",
	},
	{
		ID:      OrphanVM,
		Meaning: "The service has no object for a VM that is on this computer, for example because a backup was restored that is older than the VM. The service neither starts nor deletes it.",
		remedy:  "Adopt it: rdd vm adopt NAME. Or delete it and its disk: rdd vm delete NAME --orphan",
	},
	{
		ID:      StaleLock,
		Meaning: "A disk is marked as used by a VM that is not running.",
		remedy:  "You don't have to do anything if you start that VM again. Otherwise delete the mark: rm FILE",
	},
	{
		ID:      LeftoverProcess,
		Meaning: "A VM is running, but the service is not: it crashed or was killed.",
		remedy:  "Start the service, which adopts the VM: rdd svc start. Or stop the VM: rdd svc stop",
	},
	{
		ID:      ServiceCrashed,
		Meaning: "The service ended unexpectedly: it crashed, was killed, or the computer lost power. No acknowledged change is lost.",
		remedy:  "Start the service again: rdd svc start. If it ends unexpectedly again, look at the log (rdd svc log) and create a bundle for a bug report: rdd diagnose --bundle rdd.tar.gz",
	},
	{
		ID:      ServiceBroken,
		Meaning: "The service could not start, or runs but does not respond.",
		remedy:  "See the cause (rdd svc log), then restart the service: rdd svc restart",
	},
	{
		ID:      VMFailed,
		Meaning: "The VM is not in the requested state.",
		remedy:  "See the cause: rdd vm show NAME. For details: rdd vm logs NAME, and for the console: rdd vm logs NAME --source serial. To try again: rdd vm start NAME",
	},
	{
		ID:      VMDegraded,
		Meaning: "The VM is running, but something in it doesn't work.",
		remedy:  "Correct the cause (rdd vm edit NAME changes scripts, probes and ports), then restart the VM: rdd vm restart NAME. For details: rdd vm logs NAME",
	},
}
