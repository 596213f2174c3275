# What a template may ask for beyond a plain boot. Sourced after lib.sh.
# shellcheck shell=dash

# start_dhcp configures the interfaces that have no fixed address.
start_dhcp() {
	mkdir -p /run/systemd/network
	awk -v fixed="${LIMA_CIDATA_SLIRP_IP_ADDRESS:+eth0}" -F"[ ':]+" '
		/^  [a-z0-9]+:/ { name = $2 }
		/macaddress:/ { mac = $0; sub(/^[^0-9a-fA-F\047]*macaddress: */, "", mac); gsub(/\047/, "", mac) }
		/route-metric:/ && name != fixed {
			file = "/run/systemd/network/20-" name
			print "[Match]\nMACAddress=" mac "\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\nRouteMetric=" $3 > (file ".network")
			print "[Match]\nMACAddress=" mac "\n[Link]\nName=" name > (file ".link")
		}' "$data/network-config"
	systemctl start systemd-udev-trigger.service systemd-networkd.service
}

run_boot_commands() {
	mkdir -p /run/rdd
	section bootcmd | awk -v dir=/run/rdd/bootcmd. '/^- \|/ { n++; next } n { sub(/^  /, ""); print > (dir n) }'
	for script in /run/rdd/bootcmd.*; do
		[ ! -f "$script" ] || sh -eu "$script" || return 1
	done
}

trust_certificates() {
	grep -q '^ca_certs:' "$data/user-data" || return 0
	section ca_certs | grep -q 'remove_defaults: true' && sed -i 's/^[^!#]/!&/' /etc/ca-certificates.conf
	section ca_certs | awk -v dir=/usr/local/share/ca-certificates/lima- \
		'/^ *- \|/ { n++; next } n && NF { sub(/^ */, ""); print > (dir n ".crt") }'
	update-ca-certificates
}

upgrade_packages() {
	grep -q '^package_upgrade: true' "$data/user-data" || return 0
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q && apt-get upgrade -qy
}

# Lima's own scripts know best how to do these.
attach_disks() { [ "$LIMA_CIDATA_DISKS" -eq 0 ] || "$data/boot/05-lima-disks.sh"; }
redirect_dns() {
	[ "$((LIMA_CIDATA_UDP_DNS_LOCAL_PORT + LIMA_CIDATA_TCP_DNS_LOCAL_PORT))" -eq 0 ] || "$data/boot/09-host-dns-setup.sh"
}
install_containerd() {
	[ -n "$LIMA_CIDATA_CONTAINERD_USER$LIMA_CIDATA_CONTAINERD_SYSTEM" ] || return 0
	export PATH="$data/util:$PATH"
	"$data/boot/20-rootless-base.sh" && "$data/boot/30-install-packages.sh" && "$data/boot/40-install-containerd.sh"
}

# mount_shares mounts what QEMU shares.
mount_shares() {
	section mounts | sed -n 's/^- \[\(.*\)\]$/\1/p' | while IFS=, read -r tag where type options; do
		where=${where# } type=${type# }
		options=${options#*\"}
		mkdir -p "$where"
		mount -t "$type" -o "${options%%\"*}" "$tag" "$where" || exit 1
	done
}

# run_all runs each script of a folder with the given command before it.
run_all() {
	folder=$1 result=0
	shift
	[ -d "$folder" ] || return 0
	for script in "$folder"/*; do
		log "running ${script#"$data"/}"
		"$@" "$script" || { log "failed: ${script#"$data"/} (exit code $?)"; result=1; }
	done
	return "$result"
}

run_dependency_scripts() { run_all "$data/provision.dependency" env; }
run_system_scripts() { run_all "$data/provision.system" env; }

run_user_scripts() {
	[ -d "$data/provision.user" ] || return 0
	systemctl start "user@$LIMA_CIDATA_UID.service"
	run_all "$data/provision.user" as_user
}

# as_user runs a copy: the user may not read the data disk.
as_user() {
	copy=$LIMA_CIDATA_HOME/.lima-user-script
	cp "$1" "$copy"
	chown "$LIMA_CIDATA_USER" "$copy"
	chmod 755 "$copy"
	sudo -iu "$LIMA_CIDATA_USER" "--preserve-env=$(sed -n 's/^\(PARAM_[^=]*\)=.*/\1/p' "$data/param.env" | paste -sd,)" \
		"XDG_RUNTIME_DIR=/run/user/$LIMA_CIDATA_UID" "$copy"
	result=$?
	rm -f "$copy"
	return "$result"
}

# copy_files puts provision.data in place, with the owner and mode asked for.
copy_files() {
	[ -d "$data/provision.data" ] || return 0
	for file in "$data/provision.data"/*; do
		id=LIMA_CIDATA_DATAFILE_${file##*/}
		eval "path=\$${id}_PATH owner=\$${id}_OWNER mode=\$${id}_PERMISSIONS overwrite=\$${id}_OVERWRITE"
		[ ! -e "$path" ] || [ "$overwrite" != false ] || continue
		mkdir -p "${path%/*}"
		cp "$file" "$path" && chown "$owner" "$path" && chmod "$mode" "$path" || return 1
	done
}
