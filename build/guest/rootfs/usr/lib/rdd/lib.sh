# shellcheck shell=dash
# What boot does, step by step. Sourced, never run.

data=/mnt/lima-cidata

# log writes a line for the journal; die one for the console too, and ends.
log() { echo "rdd: $*"; }
die() {
	echo "<2>rdd: $*" >/dev/kmsg
	exit 1
}

# signal tells Lima's host agent that a stage is done: it compares the file with
# the data disk's, which differs at every boot. wait_for_lima sees it being read.
signal() {
	cat "$data/meta-data" >"/run/lima-$1"
	touch -d @0 "/run/lima-$1"
}

# wait_for_lima lasts until Lima has read the signal that the boot is done, or 10 s:
# the rest of the system would only slow it down until then.
wait_for_lima() {
	tries=0
	while [ "$(stat -c %X /run/lima-boot-done)" -eq 0 ] && [ "$tries" -lt 50 ]; do
		tries=$((tries + 1))
		usleep 200000
	done
}

# find_data waits for the data disk and mounts it where Lima's requirements look.
find_data() {
	tries=0
	until device=$(findfs LABEL=cidata 2>/dev/null); do
		tries=$((tries + 1))
		if [ "$tries" -ge 300 ]; then
			die "no data disk with the label cidata after 30 s: was this VM started by Lima?"
		fi
		usleep 100000
	done
	mkdir -p -m 700 "$data"
	mount -t iso9660 -o ro,mode=0700,dmode=0700,overriderockperm,exec,uid=0 "$device" "$data"
}

# load_file exports the KEY=VALUE lines of a file; values are never evaluated.
load_file() {
	while IFS= read -r line; do
		case $line in
		[A-Za-z_]*=*) export "${line?}" ;;
		esac
	done <"$1"
}

load_settings() {
	load_file "$data/lima.env"
	export LIMA_CIDATA_MNT=$data
}

# section prints what is below a top-level key of the cloud-init user data.
section() { awk -v key="$1:" '/^[a-z]/ { on = ($1 == key); next } on' "$data/user-data"; }

# asks_for_more says whether the template wants more than a plain boot.
asks_for_more() {
	for directory in "$data"/provision.*; do
		[ ! -d "$directory" ] || return 0
	done
	[ "$LIMA_CIDATA_DISKS" -eq 0 ] &&
		[ -z "$LIMA_CIDATA_CONTAINERD_USER$LIMA_CIDATA_CONTAINERD_SYSTEM" ] &&
		[ "$((LIMA_CIDATA_UDP_DNS_LOCAL_PORT + LIMA_CIDATA_TCP_DNS_LOCAL_PORT))" -eq 0 ] &&
		! grep -qE '^(bootcmd|ca_certs|package_upgrade|mounts):' "$data/user-data" || return 0
	return 1
}

# keep replaces a file by its input if that differs. With a full disk it must not
# empty the file, nor end the boot.
keep() {
	content=$(cat)
	[ "$content" != "$(cat "$1" 2>/dev/null)" ] || return 0
	if echo "$content" >"$1.new" && mv "$1.new" "$1"; then return 0; fi
	rm -f "$1.new"
	log "cannot write $1: is the disk full?"
}

set_names() {
	name=$(sed -n 's/^local-hostname: *//p' "$data/meta-data")
	echo "$name" | keep /etc/hostname
	hostname "$name"
	keep /etc/hosts <<-EOF
		127.0.0.1	localhost
		127.0.1.1	$name
		::1	localhost ip6-localhost ip6-loopback
		$LIMA_CIDATA_SLIRP_GATEWAY	host.lima.internal
	EOF
	zone=$(sed -n 's/^timezone: *//p' "$data/user-data")
	[ -z "$zone" ] || [ "$(readlink /etc/localtime)" = "/usr/share/zoneinfo/$zone" ] ||
		ln -sf "/usr/share/zoneinfo/$zone" /etc/localtime || log "cannot set the time zone"
}

# add_user makes Lima's user once, and its SSH keys at every boot.
add_user() {
	user=$LIMA_CIDATA_USER uid=$LIMA_CIDATA_UID home=$LIMA_CIDATA_HOME
	grep -q "^$user:" /etc/passwd || make_user
	section users | sed -n 's/^ *- "\(.*\)"$/\1/p' | keep "$home/.ssh/authorized_keys"
	chmod 600 "$home/.ssh/authorized_keys"
	chown "$uid:$uid" "$home/.ssh/authorized_keys"
}

make_user() {
	echo "$user:x:$uid:$uid:${LIMA_CIDATA_COMMENT:-}:$home:$LIMA_CIDATA_SHELL" >>/etc/passwd
	echo "$user:x:$uid:" >>/etc/group
	echo "$user:*:19000:0:99999:7:::" >>/etc/shadow
	sed -i -E "s/^((adm|docker|systemd-journal):.*:)$/\1$user/; t; s/^((adm|docker|systemd-journal):.*)$/\1,$user/" /etc/group
	first=524288
	[ "$uid" -lt "$first" ] || first=$((uid + 1))
	echo "$user:$first:1073741824" | tee -a /etc/subuid >>/etc/subgid
	echo "$user ALL=(ALL) NOPASSWD:ALL" >/etc/sudoers.d/90-lima
	chmod 440 /etc/sudoers.d/90-lima
	echo "XDG_RUNTIME_DIR DEFAULT=/run/user/$uid" >/etc/security/rdd_env.conf
	mkdir -p "${home%/*}" /var/lib/systemd/linger
	: >"/var/lib/systemd/linger/$user"
	[ -d "$home" ] || cp -r /etc/skel "$home"
	mkdir -p -m 700 "$home/.ssh"
	chown -R "$uid:$uid" "$home"
	sync # all of this is made once: a VM that is cut off soon must have it whole
}

# write_environment replaces Lima's part of /etc/environment.
write_environment() {
	{
		sed '/^#LIMA-START/,/^#LIMA-END/d' /etc/environment
		cat "$data/etc_environment"
		echo
	} | keep /etc/environment
}

# choose_engine keeps docker from running if containerd is the engine. The file is a
# condition of docker's units, so that there is nothing to reload.
choose_engine() {
	if grep -q '^RDD_ENGINE="*containerd' "$data/etc_environment"; then : >/run/rdd-no-docker; fi
}

# make_mount_points readies what Lima mounts from the host as soon as it is in.
make_mount_points() {
	[ "$LIMA_CIDATA_MOUNTTYPE" = reverse-sshfs ] && [ "$LIMA_CIDATA_MOUNTS" -gt 0 ] || return 0
	modprobe fuse
	chmod 666 /dev/fuse
	i=0
	while [ "$i" -lt "$LIMA_CIDATA_MOUNTS" ]; do
		eval "where=\$LIMA_CIDATA_MOUNTS_${i}_MOUNTPOINT"
		mkdir -p "$where" && chown "$LIMA_CIDATA_UID:$LIMA_CIDATA_UID" "$where" || log "cannot make $where: is the disk full?"
		i=$((i + 1))
	done
}

# replace_agent runs the guest agent of another Lima, if there is one; none in plain mode.
replace_agent() {
	[ -z "$LIMA_CIDATA_PLAIN" ] || systemctl stop --no-block lima-guestagent.service
	if [ -f "$data/lima-guestagent" ]; then
		log "running the guest agent of another Lima"
		systemctl restart --no-block lima-guestagent.service
	fi
}

# wait_for_agent gives up after 20 s: Lima copes without.
wait_for_agent() {
	tries=0
	until [ -n "$LIMA_CIDATA_PLAIN" ] || [ -S /run/lima-guestagent.sock ] ||
		[ -e /dev/virtio-ports/io.lima-vm.guest_agent.0 ] || [ "$tries" -ge 400 ]; do
		tries=$((tries + 1))
		usleep 50000
	done
}

# start_network gives the first interface the address that Lima's user network
# would hand out; any other network is left to systemd-networkd and DHCP.
start_network() {
	awk '/^ *nameservers:/ { on = 1; next } on && /^ *addresses:/ { next } on && /^ *- / { print "nameserver " $2; next } { on = 0 }' \
		"$data/user-data" "$data/network-config" | sort -u | keep /etc/resolv.conf
	ip link set lo up
	if [ -n "${LIMA_CIDATA_SLIRP_IP_ADDRESS:-}" ]; then
		ip address add "$LIMA_CIDATA_SLIRP_IP_ADDRESS/24" broadcast + dev eth0
		ip link set eth0 up
		ip route add default via "$LIMA_CIDATA_SLIRP_GATEWAY" dev eth0 metric 200
		[ "$(grep -c macaddress: "$data/network-config")" -gt 1 ] || return 0
	fi
	. /usr/lib/rdd/extras.sh
	start_dhcp
}
