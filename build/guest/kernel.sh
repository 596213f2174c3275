# The guest's kernel and initrd, made from Debian's kernel package without
# installing it. Sourced by build.
# shellcheck shell=bash

# fetch_kernel unpacks the kernel package of a release below WORK/kernel, and
# sets KERNEL to its version and MODULES to its modules' folder.
fetch_kernel() {
	local release=$1 package=linux-image-cloud-$DEBIAN_ARCH state=$WORK/apt options real
	say "fetching the kernel: $package of Debian $release"
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$WORK/kernel"
	sources "$release" >"$state/sources.list"
	options=(-qq -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/nonexistent
		-o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache"
		-o APT::Sandbox::User=root -o "APT::Architecture=$DEBIAN_ARCH" -o Acquire::Languages=none)
	apt-get "${options[@]}" update >"$state/log" 2>&1 ||
		die "cannot read the package lists of Debian $release from $MIRROR: $(<"$state/log")"
	real=$(apt-cache "${options[@]}" depends "$package" | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
	[[ -n $real ]] || die "Debian $release has no package $package"
	(cd "$state" && apt-get "${options[@]}" download "$real" >"$state/log" 2>&1) ||
		die "cannot download the package $real from $MIRROR: $(<"$state/log")"
	dpkg-deb -x "$state/$real"_*.deb "$WORK/kernel"
	# shellcheck disable=SC2016 # dpkg-deb expands it
	dpkg-deb -W --showformat='${Package}=${Version}\n' "$state/$real"_*.deb >"$WORK/kernel.txt"
	MODULES=$(echo "$WORK"/kernel/lib/modules/*)
	KERNEL=${MODULES##*/}
	depmod -b "$WORK/kernel" "$KERNEL"
	cp "$WORK/kernel/boot/vmlinuz-$KERNEL" "$WORK/out/vmlinuz"
}

# drivers prints the files of the initrd's modules, in the order to load them.
drivers() {
	local module
	listed "$GUEST/initrd/modules.txt" | while read -r module; do
		modprobe --dirname "$WORK/kernel" --set-version "$KERNEL" --show-depends --ignore-install "$module" |
			awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++'
}

# make_initrd packs busybox, /init and the drivers that reach the disks.
make_initrd() {
	local tree=$WORK/initrd path
	say "packing the initrd"
	mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
	tar --extract --to-stdout --file "$WORK/root.tar" ./usr/bin/busybox >"$tree/bin/busybox"
	cp "$GUEST/initrd/init" "$tree/init"
	chmod 755 "$tree/bin/busybox" "$tree/init"
	drivers | while read -r path; do
		cp "$path" "$tree/modules/"
		basename "$path" >>"$tree/modules/order"
	done
	find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
	(cd "$tree" && find . -print0 | sort -z | cpio --quiet --null --create --format=newc --reproducible --owner=0:0) >"$WORK/out/initrd"
}
