# Shared by the recipes in this folder: progress, errors, and the steps both
# images are made of. Sourced, never run.
# shellcheck shell=bash

# say prints a progress line with the seconds since the recipe began.
say() { printf 'guest: %4ds  %s\n' "$SECONDS" "$*" >&2; }

# die ends the recipe: what happened, and what to do.
die() {
	printf 'guest: error: %s\n' "$*" >&2
	exit 1
}

# need checks that a program is there, and names the Debian package that has it.
need() {
	local program=$1 package=$2
	PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null ||
		die "$program is missing. It is in the Debian package $package: sudo apt-get install $package"
}

# need_tools checks all that build/guest/host-packages.txt promises.
need_tools() {
	need apt-get apt
	need cpio cpio
	need debugfs e2fsprogs
	need mkfs.ext4 e2fsprogs
	need mmdebstrap mmdebstrap
	need qemu-img qemu-utils
	[[ $(id -u) == 0 ]] || need newuidmap uidmap
	[[ -r $KEYRING ]] || die "$KEYRING is missing. It is in the Debian package debian-archive-keyring: sudo apt-get install debian-archive-keyring"
}

# listed prints the entries of a list file, without comments and blank lines.
listed() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$1"; }

# as_root runs a command that sees itself as root: for real, or in a user
# namespace with this user's range of subordinate ids.
as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	else
		mmdebstrap --unshare-helper "$@"
	fi
}

# mode is how mmdebstrap gets the rights to unpack packages.
mode() { if [[ $(id -u) == 0 ]]; then echo root; else echo unshare; fi; }

# check_rights says early what an unprivileged build lacks.
check_rights() {
	[[ $(id -u) == 0 ]] && return
	grep -q "^$(id -un):" /etc/subuid && grep -q "^$(id -un):" /etc/subgid ||
		die "the user $(id -un) has no subordinate ids, which an unprivileged build needs: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
	as_root true 2>/dev/null ||
		die "this system lets no ordinary user make a namespace: sudo sysctl kernel.unprivileged_userns_clone=1, or run the recipe as root"
}

# sources prints apt source lines of a Debian release with its updates.
sources() {
	local release=$1 option="[signed-by=$KEYRING]"
	echo "deb $option $MIRROR/debian $release main"
	echo "deb $option $MIRROR/debian $release-updates main"
	echo "deb $option $MIRROR/debian-security $release-security main"
}

# fetch_kernel unpacks the kernel package of a release below a folder and
# prints its name=version.
fetch_kernel() {
	local release=$1 package=$2 into=$3 state=$WORK/apt-$1 options real
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$into"
	sources "$release" >"$state/sources.list"
	options=(-qq
		-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/nonexistent
		-o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update >&2 || die "cannot read Debian's $release package lists from $MIRROR: is the network there?"
	real=$(apt-cache "${options[@]}" depends "$package" | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
	[[ -n $real ]] || die "Debian $release has no package $package"
	(cd "$state" && apt-get "${options[@]}" download "$real" >&2) || die "cannot download the package $real"
	dpkg-deb -x "$state/$real"_*.deb "$into"
	dpkg-deb -W --showformat='${Package}=${Version}\n' "$state/$real"_*.deb
}

# pack makes a tar file of a folder that does not tell who made it, or when.
pack() {
	tar --create --file "$2" --directory "$1" --sort=name --owner=0 --group=0 --numeric-owner \
		--mtime="@$SOURCE_DATE_EPOCH" --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime .
}

# make_disk turns a root file system's tar file into a qcow2 disk without a
# partition table. The same tar file gives the same disk. The root of a user
# namespace may not read our files, so all goes through pipes.
make_disk() {
	local tarball=$1 disk=$2 raw=$WORK/root.raw
	as_root env EPOCH="$SOURCE_DATE_EPOCH" PATH="$PATH:/usr/sbin:/sbin" \
		bash -c "$(cat "$GUEST/mkdisk")" mkdisk <"$tarball" | dd of="$raw" bs=1M iflag=fullblock conv=sparse status=none ||
		die "cannot make the root file system: see above; is there space in ${TMPDIR:-/tmp}?"
	qemu-img convert -f raw -O qcow2 "$raw" "$disk"
	rm -f "$raw"
}
