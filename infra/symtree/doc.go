// SPDX-License-Identifier: GPL-2.0-or-later

// Package symtree is the symlink tree of MARS (manual 2.2, 2.3): the directory /mars is the only state and the
// only interface between marsd, marsadm and the other hosts. Here is the one
// grammar of its names and values, the tree in memory, the rule by which trees
// of several hosts become one, the protocol by which things are deleted from
// all of them, and the way changes get onto the disk.
//
// A link's target is its value, its mtime is the value's Lamport stamp, in
// nanoseconds; nothing else carries it.
//
// # Life cycle
//
//	store := NewStore(fs, DaemonTemp)
//	tree, markers, err := store.Load()                 // Rescan(dir) when a watch says so
//	changes, refused := NewContext(tree, markers, me, now, window).Merge(tree, links)
//	changes = append(changes, Repair(tree, markers, me, stamp, refused)...)
//	skipped, err := store.Commit(changes)              // blocks; off the executor
//	Apply(tree, markers, changes)                      // the same in memory
//	plan := PlanDeletions(tree, markers, ...)          // commit Work, then Acks, then Drops
//
// marsadm collects a Batch and calls CommitBatch with BatchStamp.
//
// Everything but Store is pure: no IO, no clock.
//
// # Catalogue
//
// Paths are relative to /mars. Writers: H = marsd or marsadm on HOST itself and
// nobody else (Name.Owner); A = marsadm on any host; D = marsd on any host.
// Numbers are decimal without leading zeros (ParseInt) unless said otherwise;
// N is a number in nine columns, from 000000001. (*) marks what the original
// does not have.
//
//	path                            writer  value                     meaning
//	uuid                            A       text                      the cluster; never replaced by another one
//	ips/                            A                                 directory
//	ips/ip-HOST                     H       address                   HOST is a member of the cluster
//	alive-HOST                      H       0, 1                      sign of life by its stamp; 0: shutting down
//	time-HOST                       H       sec.nnnnnnnnn             Lamport time, see package lamport
//	tree-HOST                       H       0.1                       version of the tree's format
//	emergency-HOST                  H       0 to 4                    emergency level
//	rest-space-HOST                 H       GiB                       space above the limits
//	todo-global/                    A                                 directory
//	todo-global/delete-N[-HOST]     A       /mars/PATH                deletion order, made on HOST (*: the suffix)
//	todo-global/deleted-HOST        H       N, at first 1             highest order seen
//	todo-global/acked-HOST          H       CREATOR:NR:STAMP,...      orders of each creator seen (*)
//	userspace/                      A                                 directory
//	userspace/ANY                   A       any                       the administrator's own, directories allowed
//	defaults/                       A                                 directory
//	defaults/KEY                    A       any                       cluster-wide settings
//	defaults-HOST/                  A                                 directory
//	defaults-HOST/KEY               A       any                       settings of one host
//	actual-HOST/                    D                                 directory
//	actual-HOST/KEY                 H       any                       facts about HOST, messages
//	pki/                            A                                 directory (*)
//	pki/cert-HOST                   H       fingerprint               the one certificate of HOST, noted by who admits it (*)
//	pki/revoked-HOST                A       text                      certificates of HOST are refused (*)
//	resource-RES/                   A                                 directory
//	resource-RES/size               A       bytes                     logical size
//	resource-RES/primary            A       host or (none)            designated primary
//	resource-RES/data-HOST          H       absolute path             HOST's disk: HOST is a member; also a sparse file
//	resource-RES/device-HOST        H       name                      device below /dev/mars on HOST
//	resource-RES/actsize-HOST       H       bytes                     physical size of HOST's disk
//	resource-RES/connect-HOST       A       host, or host,host,...    whom HOST asks for logs when neither their origin nor the primary can be reached
//	resource-RES/todo-HOST/         A                                 directory
//	resource-RES/todo-HOST/KEY      A       0, 1; percent             switches (Todo...), orders to a living HOST
//	resource-RES/syncstatus-HOST    H       bytes                     how far the sync has come
//	resource-RES/verifystatus-HOST  H       NR,NR                     blocks found equal, blocks copied
//	resource-RES/syncpos-HOST       H       log-N-ORIGIN,POS,LEN      must be replayed to be consistent after the sync
//	resource-RES/syncfrom-HOST      H       host                      the source a partial sync is valid for
//	resource-RES/replay-HOST        H       log-N-ORIGIN,POS,LEN      applied up to POS; LEN more may be in part
//	resource-RES/version-N-HOST     H       HEAD:PREV                 see Version links
//	resource-RES/log-N-HOST         D       regular file              transaction log of origin HOST; not replicated here
//	resource-RES/skip-check-HOST    H       NR                        what HOST had applied before log NR is not its past (set-replay)
//	resource-RES/maxnr              A       NR                        highest log of a deleted resource
//	resource-RES/actual-HOST/       D                                 directory
//	resource-RES/actual-HOST/KEY    H       0, 1; numbers; text       facts (Actual...), messages
//	resource-RES/local-HOST/        A                                 directory
//	resource-RES/local-HOST/KEY     H       any                       facts that stay on HOST
//	resource-RES/userspace/         A                                 directory
//	resource-RES/userspace/ANY      A       any                       the administrator's own, directories allowed
//	resource-RES/defaults/          A                                 directory
//	resource-RES/defaults/KEY       A       any                       settings of a resource
//	resource-RES/defaults-HOST/     A                                 directory
//	resource-RES/defaults-HOST/KEY  A       any                       settings of a resource on one host
//
// RES and device names: [A-Za-z_][A-Za-z0-9_-]*. HOST: [A-Za-z0-9_][A-Za-z0-9_.-]*.
// Both at most 63 bytes, not "all" and not "(none)". KEY: as HOST, at most 128
// bytes. ANY: UTF-8 components without control characters. Values: 1 to 4095
// bytes without NUL. Names with numbers are read by columns, never by patterns:
// an origin may be called 000000001-a.
//
// Names that are not in the catalogue do not exist: they are not loaded, not
// sent, not taken, not deleted and not written. Besides them the directories
// hold ".tmp..." (a link being made) and ".deleted-NAME" (a deletion marker).
//
// # Keys
//
// Of todo-HOST: attach, connect (fetch logs), sync, allow-replay, each 0 or 1;
// emergency-limit, percent. Of actual-HOST in a resource, 0 or 1: is-attached,
// is-primary, is-replaying, is-copying (logs), is-syncing, device-NAME, has-emergency,
// is-emergency, logfile-update and copy-syncstatus-HOST (the LEDs of fetch and
// sync). KiB/s: replay_rate, file_rate, sync_rate. Further: open-count;
// replay-code, negative where replay has stopped for good; and (*) disk-error,
// log-error, split-brain and why, a text or (none). Of actual-HOST of the cluster:
// devices (*), what the host lacks for its devices. Of local-HOST, with the tunable
// show_connections: connection-fetch-PEER and connection-sync-PEER, -1 broken, 0
// being made, 1 there.
//
// # Version links
//
//	HEAD   = MD5,log-N-ORIGIN,POS
//	PREV   = HEAD of the same host's link for log N-1, empty for the first log
//	MD5    = md5("NR,ORIGIN,POS:" + complete value of that link, or empty), 32 hexadecimal digits
//
// The first link, made by create-resource, has 32 zeros. Equal heads mean equal
// histories, lengths included. POS counts durable bytes only.
//
// # Sending
//
// Tree.EachLink gives what other hosts get, in parts if need be; directories with
// a Sum that the other side has are left out. A link takes some 110 bytes of
// memory besides its name and its value.
//
// # Merge
//
// The newer stamp wins; of equal stamps the larger value (Entry.Newer). So the
// merge is commutative, associative and idempotent, and a link's stamp only
// moves forward. Not taken are: what is not a link of the catalogue, what this
// host owns, what was deleted at or after its stamp, stamps implausibly far
// ahead (which also give way where they stand already: Change.Instead), another
// cluster's uuid, finished deletion orders, and what there is no room for
// (MaxEntries, MaxBytes). Directories are not merged: they are made when
// something is put into them. Logs are a local fact, and are fetched.
//
// # Deletion
//
// Whoever wants PATH to be gone on all hosts makes an order (NewOrder). Every
// host that gets it
//
//   - removes PATH, if it is not newer than the order. An order against a
//     directory of keys (todo-HOST/, actual-HOST/, ...) means what is in it too. Other
//     directories go if they are empty;
//   - leaves a marker ".deleted-NAME" with the order's stamp beside it, which
//     keeps older copies out and lets newer ones in;
//   - acknowledges, also if PATH is in use and must stay a while. It goes
//     later, by the marker;
//   - drops the order as soon as every member (ips/) has acknowledged. The
//     marker stays for MarkerLife.
//
// Acknowledgements are kept by creator and stamp, since hosts that can not see
// each other use the same numbers: the single number in deleted-HOST, which is
// kept for the original's tools, would lose orders. They rest on one
// assumption: a connection delivers in order, beginning with Tree.Links, so
// that nobody sees an order before an earlier one of the same creator, or an
// acknowledgement before what the acknowledging host had sent until then.
//
// Orders and markers that are stamped too far ahead count for nothing: marsd
// gives links that were made on its host under a leapt system clock new stamps.
//
// Over a slow line that assumption can fail: what a host had sent is still on its way
// when its acknowledgement has come by a third one. Then the marker keeps the
// old copy out; where there was no place for a marker the copy goes to the others,
// who refuse it as below.
//
// A host that comes back with an old /mars brings deleted things along. The
// others refuse them by their markers and order the deletion again (Repair).
// Without a marker, that is after more than MarkerLife, they return.
//
// A host that joins takes over the tree of a member without any link of its
// own name, except acked-HOST, which becomes what that member has: it knows
// what the member knows.
//
// # On the disk
//
// A link is made under a temporary name, gets its stamp and is renamed into
// place: after a crash there is the old value or the new one. Commit never
// replaces a newer link by an older one, so marsd and marsadm can work side by
// side; between its look and the rename some microseconds remain. Nothing is
// durable before Commit returns.
package symtree
