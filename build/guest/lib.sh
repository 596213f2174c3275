# What the recipes in this folder share: progress, errors, and the steps that
# both images are made by. Sourced, never run; docs/guest.md.
# shellcheck shell=bash

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=http://deb.debian.org
export LC_ALL=C SOURCE_DATE_EPOCH=1735689600
umask 022
PATH=$PATH:/usr/sbin:/sbin

# say prints a progress line with the seconds since the recipe began.
say() { printf 'guest: %4ds  %s\n' "$SECONDS" "$*" >&2; }

# die ends the recipe: what happened, and what to do.
die() {
	printf 'guest: error: %s\n' "$*" >&2
	exit 1
}

# need checks that a program is there, and names the Debian package that has it.
need() {
	command -v "$1" >/dev/null || die "the program $1 is missing. Install its Debian package: sudo apt-get install $2"
}

# need_tools checks for what host-packages.txt lists.
need_tools() {
	need apt-get apt
	need cpio cpio
	need debugfs e2fsprogs
	need depmod kmod
	need mmdebstrap mmdebstrap
	need qemu-img qemu-utils
	[[ -r $KEYRING ]] || die "$KEYRING is missing. Install its Debian package: sudo apt-get install debian-archive-keyring"
	[[ $(id -u) == 0 ]] && return
	need newuidmap uidmap
	local user
	user=$(id -un)
	if ! grep -q "^$user:" /etc/subuid || ! grep -q "^$user:" /etc/subgid; then
		die "the user $user has no subordinate ids, which a build without root needs: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user"
	fi
	as_root true ||
		die "this system lets an ordinary user make no namespace. Allow it (sudo sysctl kernel.unprivileged_userns_clone=1), or run the recipe as root"
}

# listed prints the entries of a list file, without comments and blank lines.
listed() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$1"; }

# as_root runs a command that sees itself as root: for real, or in a user
# namespace with this user's subordinate ids.
as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	else
		mmdebstrap --unshare-helper "$@"
	fi
}

# begin takes the folder to write to, and sets OUT, WORK and the names of this
# machine's architecture. It ends the recipe when OUT already holds what the
# recipe with this key makes.
begin() {
	local key=$1
	shift
	[[ $# == 1 && $1 != -* ]] || {
		echo "usage: $0 OUT  (the folder to write the image to)" >&2
		exit 2
	}
	case $(uname -m) in
	x86_64) LIMA_ARCH=x86_64 DEBIAN_ARCH=amd64 CONSOLE=ttyS0 ;;
	aarch64) LIMA_ARCH=aarch64 DEBIAN_ARCH=arm64 CONSOLE=ttyAMA0 ;;
	*) die "there is no guest for $(uname -m): only for x86_64 and aarch64" ;;
	esac
	OUT=$(mkdir -p "$1" && cd "$1" && pwd) || die "cannot make the folder $1"
	KEY="$key $OUT"
	if fresh; then
		say "$OUT is up to date"
		exit 0
	fi
	need_tools
	choose_tmpdir
	WORK=$(mktemp -d)
	trap 'rm -rf "$WORK"' EXIT
	chmod 755 "$WORK"
	mkdir "$WORK/out"
}

# choose_tmpdir works in memory where there is plenty: packages sync every file
# to disk, which makes a build several times slower.
choose_tmpdir() {
	local free available
	[[ -z ${TMPDIR:-} && -w /dev/shm ]] || return 0
	free=$(df --output=avail -k /dev/shm | tail -n 1)
	available=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	if ((free > 4000000 && available > 8000000)); then export TMPDIR=/dev/shm; fi
}

# fresh says whether OUT is complete and was made by this very recipe.
fresh() {
	local file
	[[ -f $OUT/.recipe && $(<"$OUT/.recipe") == "$KEY" ]] || return 1
	while read -r _ file; do
		[[ -s $OUT/$file ]] || return 1
	done <"$OUT/SHA256SUMS"
}

# finish writes the template and the sums, and moves all to OUT.
finish() {
	local template=$1 name=$2
	sed -e "s|@OUT@|$OUT|g" -e "s|@LIMA@|${LIMA_VERSION:-}|g" -e "s|@ARCH@|$LIMA_ARCH|g" -e "s|@CONSOLE@|$CONSOLE|g" \
		-e "s|@ROOTFS@|$(digest rootfs.qcow2)|" -e "s|@VMLINUZ@|$(digest vmlinuz)|" -e "s|@INITRD@|$(digest initrd)|" \
		"$template" >"$WORK/out/$name"
	rm -f "$OUT/.recipe"
	(cd "$WORK/out" && sha256sum -- * >SHA256SUMS && mv -f -- * "$OUT/")
	echo "$KEY" >"$OUT/.recipe"
	say "done: $OUT ($(du -sh "$OUT" | cut -f1))"
}

digest() {
	local sum
	sum=$(sha256sum <"$WORK/out/$1")
	echo "${sum%% *}"
}

# sources prints apt's source lines of a Debian release with its updates.
sources() {
	local release=$1
	printf "deb [signed-by=$KEYRING] $MIRROR/%s main\n" \
		"debian $release" "debian $release-updates" "debian-security $release-security"
}

# install RELEASE LIST OPTION... makes the tar file of a root file system with
# the listed packages. The options are mmdebstrap's.
install() {
	local release=$1 list=$2 mode=root packages
	shift 2
	[[ $(id -u) == 0 ]] || mode=unshare
	packages=$(listed "$list" | paste -sd,)
	say "installing Debian $release packages: $(listed "$list" | wc -l), and what they need"
	sources "$release" | mmdebstrap --quiet --mode="$mode" --variant=apt --format=tar --architectures="$DEBIAN_ARCH" \
		--include="$packages" --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
		"$@" "$release" "$WORK/root.tar" - >"$WORK/install.log" 2>&1 || {
		tail -n 30 "$WORK/install.log" >&2
		die "cannot install the guest's packages: see above. Is $MIRROR reachable, is there space in ${TMPDIR:-/tmp}?"
	}
}

# make_disk turns the tar file into a qcow2 disk without a partition table. The
# root of a user namespace may not read our files, so all goes through pipes.
make_disk() {
	say "making the root file system"
	as_root env EPOCH="$SOURCE_DATE_EPOCH" PATH="$PATH" bash -c "$(cat "$GUEST/mkdisk")" mkdisk <"$WORK/root.tar" |
		dd of="$WORK/root.raw" bs=1M iflag=fullblock conv=sparse status=none ||
		die "cannot make the root file system: see above. Is there space in ${TMPDIR:-/tmp}?"
	qemu-img convert -f raw -O qcow2 "$WORK/root.raw" "$WORK/out/rootfs.qcow2"
	rm -f "$WORK/root.raw"
}
