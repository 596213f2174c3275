package template

import (
	"slices"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima/qemu"
)

// mountData makes a guest mount its data disk at each boot, before all other scripts. RDD's guest does that by itself.
func mountData(y *limayaml.LimaYAML) {
	y.Provision = append(slices.Clone(y.Provision), limayaml.Provision{Mode: limayaml.ProvisionModeBoot, Script: dataScript})
}

// DataMount is where a guest has its data disk.
const DataMount = "/mnt/rdd-data"

// dataScript formats a disk only if it is empty: it has no file system of any kind.
const dataScript = `#!/bin/sh
# Made by RDD: mounts the VM's data disk.
set -eu
! grep -q " ` + DataMount + ` " /proc/mounts || exit 0
device=
for block in /sys/block/vd*; do
	[ "$(cat "$block/serial" 2>/dev/null)" != ` + qemu.DataSerial + ` ] || device=/dev/${block##*/}
done
[ -n "$device" ] || { echo "rdd: the data disk is not there" >&2; exit 1; }
command -v blkid >/dev/null || { echo "rdd: the data disk needs the program blkid in the guest" >&2; exit 1; }
if [ -z "$(blkid "$device")" ] && [ "$(od -An -tx1 -j1080 -N2 "$device")" != " 53 ef" ]; then
	mkfs.ext4 -q -F -m 1 -L rdd-data "$device"
fi
e2fsck -p "$device" || [ $? -le 2 ] || { echo "rdd: the data disk $device needs a repair: e2fsck -f $device" >&2; exit 1; }
mkdir -p ` + DataMount + `
mount -t ext4 -o noatime "$device" ` + DataMount + `
resize2fs "$device"
`
