#!/bin/sh
# Speed in the emulated machine, as ratios within one run. Where the guest's time
# is the count of its instructions (--icount, disks in memory) figures repeat on
# any machine: they are lengths of code paths. Over virtio disks time is real,
# and figures hold for a machine that does nothing else. "bench.sh front" and
# the like run a part.
set -eu
cd "$(dirname "$0")/../.."
parts=${*:-front path disks}
GO=${GO:-go}
export CGO_ENABLED=0
out=bin/vm
mkdir -p $out
$GO build -o bin/ ./cmd/marsvm
$GO build -o $out/ ./cmd/marsd ./cmd/marsadm ./ublkdev/memdisk
$GO test -c -o $out/guest.test ./cmd/marsvm/guest
vm=$PWD/bin/marsvm
$vm prepare
drbd=${MARS_VM_CACHE:-.cache/marsvm}/drbd-utils
tools=sh,ip,nsenter,mkfs.ext4,mount,umount,losetup,dmesg,fio,cat,dd,true,$drbd/lib/drbd/drbdsetup-84,$drbd/sbin/drbdmeta

# measure SUITE TEST OPTIONS...
measure() {
	suite=$1 name=$2
	shift 2
	$vm exec --timeout 20m --tool $tools --file $out:/opt/mars --env MARS_GUEST_SUITE="$suite" --env MARS_DEVICE=ublk "$@" -- \
		$out/guest.test -test.v -test.run "^$name\$" -test.timeout 0
}

for part in $parts; do
	case $part in
	front)
		echo "== the front end alone; instructions counted"
		measure bench-front TestBenchFront --icount --mem 1G ;;
	path)
		echo "== the whole path; instructions counted, disks in memory"
		measure bench-path TestBenchPath --icount --mem 3G --env MARS_GUEST_RAM=1 --module brd:rd_nr=9:rd_size=524288 --module drbd:usermode_helper=/bin/true ;;
	disks)
		echo "== the whole path; real time, virtio disks"
		measure bench-path TestBenchPath --sync-disks --mem 1G --module drbd:usermode_helper=/bin/true \
			--disk 512M --disk 64M --disk 512M --disk 64M --disk 64M --disk 64M --disk 64M --disk 64M --disk 64M ;;
	*) echo "no part $part" >&2; exit 2 ;;
	esac
done
