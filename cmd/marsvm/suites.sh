#!/bin/sh
# The suites that need a real stock kernel, each in an emulated machine of its
# own: "suites.sh" runs those of make test, "suites.sh io kill" others. Where the machine
# cannot be emulated it says so loudly; with MARS_NEED_VM=1 that is a failure.
# What a suite says is in bin/vm-log/SUITE, to be followed; RUN=REGEXP picks tests of a
# guest's suite. JOBS suites run side by side: they wait more than they work.
set -u
cd "$(dirname "$0")/../.."
# The faults of a real kernel come first, as a group of which the time is told; the
# long ones of each group before the others.
faults="full disk postgres split clock db net"
short="$faults kill power io device many demo rig pair ublkdev"
# The newest kernel moves, and with it what it says.
all="$short newest"
# Without words: what make test runs.
[ "${1:-}" != all ] || set -- $all
suites=${*:-$short}
GO=${GO:-go}
export CGO_ENABLED=0
long=25m
[ "${MARS_FAULT_ROUNDS:-1}" = 1 ] || long=3h
out=bin/vm
mkdir -p $out
$GO build -o bin/ ./cmd/marsvm && $GO build -o $out/ ./cmd/marsd ./cmd/marsadm ./cmd/marsdemo || exit 1
vm=$PWD/bin/marsvm
if ! why=$($vm prepare 2>&1); then
	echo "$why"
	echo "=== THE SUITES OF A REAL KERNEL DID NOT RUN: $suites"
	echo "=== they need QEMU and Debian's 6.12 kernel: root on Debian 12 or 13 (Ubuntu carries no such image)"
	[ "${MARS_NEED_VM:-0}" != 1 ]
	exit
fi
echo "$why" | tail -n 1

# in_guest SUITE TIMEOUT OPTIONS...: one boot of the guest for the tests of a suite.
tools=sh,ip,tc,nsenter,mkfs.ext4,e2fsck,fsck.ext4,debugfs,mount,umount,losetup,dmesg,cmp,dmsetup,fio,cp,cat,rm,sync
in_guest() {
	suite=$1 limit=$2
	shift 2
	$vm exec --timeout "$limit" --mem 1G --cpus "${CPUS:-2}" --tool $tools --file $out:/opt/mars \
		--env MARS_GUEST_SUITE="$suite" --env MARS_DEVICE="${MARS_DEVICE:-auto}" "$@" -- $out/guest.test -test.v -test.run "${RUN:-.}" -test.timeout "$limit"
}

run() {
	case $1 in
	rig) MARS_VM=1 $GO test -count=1 -timeout 15m -run RealKernel ./cmd/marsvm ;;
	ublkdev) $GO test -count=1 -timeout 15m -exec "$vm exec --" ./ublkdev ./ublkdev/uring ;;
	# The newest kernel Debian has: its driver resizes in place, quiesces, and stops what is not open in one step.
	newest) (export MARS_VM_KERNEL=newest && $vm prepare newest && run ublkdev && run device) ;;
	device) $GO test -count=1 -timeout 25m -exec "$vm exec --timeout 25m --mem 1G --disk 2G \
		--tool mkdir,mkfs.ext4,e2fsck,mount,umount,losetup,blockdev,resize2fs \
		--file $PWD/$out/marsd:/opt/mars/marsd --file $PWD/$out/marsadm:/opt/mars/marsadm --" ./cmd/marsd/guest ;;
	demo) in_guest demo 25m --disk 2G --file "$($GO env GOROOT)/src/net:/opt/tree" ;;
	io) in_guest io 25m --disk 512M --disk 32M --disk 512M --disk 32M --disk 16M --disk 8M --disk 8M ;;
	# A pause is no error, however long the host makes it: the suite itself looks
	# for the kernel's warnings.
	kill) in_guest kill 25m --allow-warnings --disk 1G --disk 16M --disk 1G --disk 16M --disk 24M --disk 24M ;;
	# Faults of the kernel's own making; MARS_FAULT_ROUNDS lets each come more often.
	# One processor is cheaper to emulate, and these wait for the most part.
	net) CPUS=${CPUS:-1} in_guest net "$long" --disk 256M --disk 4M --disk 256M --disk 4M --disk 256M --disk 4M --disk 4M --disk 16M ;;
	split) CPUS=${CPUS:-1} in_guest split "$long" --disk 256M --disk 4M --disk 256M --disk 4M --disk 256M --disk 4M --disk 4M --disk 4M --disk 16M ;;
	# Errors of disks are what it is about: the suite itself looks for those of applications.
	disk) CPUS=${CPUS:-1} in_guest disk "$long" --allow-warnings --disk 256M --disk 8M --disk 256M --disk 8M --disk 8M --disk 8M --disk 16M ;;
	full) CPUS=${CPUS:-1} in_guest full "$long" --disk 96M --disk 8M --disk 96M --disk 8M --disk 96M --disk 8M --disk 8M --disk 16M ;;
	db) CPUS=${CPUS:-1} in_guest db "$long" --disk 256M --disk 16M --disk 256M --disk 16M --disk 16M --tool sqlite3 ;;
	postgres) $vm prepare postgresql && CPUS=${CPUS:-1} in_guest postgres "$long" --disk 256M --disk 24M --disk 256M --disk 24M --disk 24M --file "${MARS_VM_CACHE:-.cache/marsvm}/postgresql:/opt/pg" ;;
	many) in_guest many 25m --disk 1G --disk 1G ;;
	pair) MARS_VM=1 $GO test -count=1 -v -timeout 20m -run TwoGuests ./cmd/marsvm/pair ;;
	clock) MARS_VM=1 $GO test -count=1 -v -timeout 3h -run Clocks ./cmd/marsvm/pair ;;
	# Mounts of its own: none is left, whatever becomes of it.
	power) MARS_VM=1 unshare -m $GO test -count=1 -v -timeout 20m ./cmd/marsvm/power ;;
	*) echo "no suite $1; there are: $all" >&2; return 2 ;;
	esac
}

$GO test -c -o $out/guest.test ./cmd/marsvm/guest || exit 1

# one SUITE: runs it and tells how it was; what it says goes into a file.
one() {
	start=$(date +%s)
	log=bin/vm-log/$1
	if (run "$1" >"$log" 2>&1 && times >"$log.times"); then
		: >"$log.ok"
		grep -h '^result: ' "$log"
		echo "vm: $1 ok, $(($(date +%s) - start)) s, $(awk 'NR == 2 { split($1 "m" $2, t, /[ms]+/); printf "%d", 60 * (t[1] + t[3]) + t[2] + t[4] }' "$log.times") s of CPU"
	else
		cat "$log"
		echo "vm: $1 FAILED, $(($(date +%s) - start)) s"
	fi
}

# lane SUITES: runs what no other lane has begun.
lane() {
	for s in $1; do
		if mkdir "bin/vm-log/$s.begun" 2>/dev/null; then
			one "$s"
		fi
	done
}

# group SUITES: runs them in JOBS lanes.
group() {
	for _ in $(seq "${JOBS:-2}"); do
		lane "$1" &
	done
	wait
}

# chosen in|out LIST: those of the suites to run that are in the list, or are not.
chosen() {
	for s in $suites; do
		case " $2 " in
		*" $s "*) [ "$1" = in ] && printf '%s ' "$s" ;;
		*) [ "$1" = out ] && printf '%s ' "$s" ;;
		esac
	done
}

rm -rf bin/vm-log
mkdir -p bin/vm-log
begin=$(date +%s)
first=$(chosen in "$faults")
group "$first"
faulty=$(($(date +%s) - begin))
group "$(chosen out "$faults")"
bad=""
for s in $suites; do
	[ -e "bin/vm-log/$s.ok" ] || bad="$bad $s"
done
form=short
[ "${MARS_FAULT_ROUNDS:-1}" = 1 ] || form=long
[ -z "$first" ] || echo "vm: the faults' $form forms: $faulty s: $first"
if [ -n "$bad" ]; then
	echo "vm: FAILED:$bad"
	exit 1
fi
echo "vm: all ok, $(($(date +%s) - begin)) s: $suites"
