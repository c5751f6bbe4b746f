#!/bin/sh
# Install what "make demo" and "make test" need on a bare Debian or Ubuntu.
# Nothing is installed that is there already; without root it only tells.
set -eu
need=""
want() { command -v "$1" >/dev/null 2>&1 || need="$need $2"; }
PATH=$PATH:/usr/sbin:/sbin
want mkfs.ext4 e2fsprogs
want debugfs e2fsprogs
want losetup mount
want mount mount
want git git
want ip iproute2
want ssh openssh-client
want sshd openssh-server
if [ -n "$need" ]; then
	need=$(printf '%s\n' $need | sort -u | tr '\n' ' ')
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "deps: missing and not installable from here (needs root and apt-get): $need" >&2
		exit 1
	fi
	echo "deps: installing $need"
	# The tests start daemons of their own, in namespaces: the system's sshd
	# shall neither run now nor after the next boot because of us.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null
	case $need in
	*openssh-server*) ! command -v systemctl >/dev/null 2>&1 || systemctl disable ssh.service ssh.socket >/dev/null 2>&1 || true ;;
	esac
fi
if [ ! -e /dev/fuse ]; then
	modprobe fuse 2>/dev/null || mknod /dev/fuse c 10 229 2>/dev/null || true
fi
if [ ! -e /dev/loop-control ]; then
	modprobe loop 2>/dev/null || mknod /dev/loop-control c 10 237 2>/dev/null || true
fi
