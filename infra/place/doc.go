// Package place knows where a node keeps its things: the directories and names
// that are flags with an environment variable, on marsd and marsadm alike, so
// that several nodes run on one host.
//
//	flag         variable        default
//	--mars-dir   MARS_DIR        /mars         the symlink tree and the logs
//	--run-dir    MARS_RUN_DIR    /run/mars     lock, pid, sys/ (tunables)
//	--dev-dir    MARS_DEV_DIR    /dev/mars     where devices appear
//	--pki-dir    MARS_PKI_DIR    /etc/mars/pki keys
//	--host       MARS_HOST       uname -n      own name
//	--ip         MARS_IP                       own address
//	--port       MARS_PORT       7777          base of the three ports
//	--device     MARS_DEVICE     auto          auto, ublk or fuse
//	--set X=V    MARS_SET                      tunables at start
//	--ssh        MARS_SSH        ssh           as SSH HOST COMMAND ARG...
//
// On marsadm only the variable sets the own name: its --host keeps the
// manual's meaning, to act as if on that host.
package place
