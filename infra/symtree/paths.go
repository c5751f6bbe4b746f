// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

// The paths of the tree. These functions put names together and check nothing:
// whoever takes a name from outside has checked it (CheckResource, CheckHost).

// UUIDPath is the cluster's identity.
func UUIDPath() string { return "uuid" }

// IPsDir is the directory of the members' addresses.
func IPsDir() string { return "ips" }

// TodoGlobalDir is the directory of the deletion orders.
func TodoGlobalDir() string { return "todo-global" }

// UserspaceDir is where administrators keep links of their own.
func UserspaceDir() string { return "userspace" }

// DefaultsDir is the directory of the cluster's defaults.
func DefaultsDir() string { return "defaults" }

// PKIDir is the directory of certificates and revocations.
func PKIDir() string { return "pki" }

// IPPath is a member's address.
func IPPath(host string) string { return "ips/ip-" + host }

// AlivePath is a host's sign of life.
func AlivePath(host string) string { return "alive-" + host }

// TimePath is a host's Lamport time.
func TimePath(host string) string { return "time-" + host }

// TreePath is the version of the tree's format on a host.
func TreePath(host string) string { return "tree-" + host }

// EmergencyPath is a host's emergency level.
func EmergencyPath(host string) string { return "emergency-" + host }

// RestSpacePath is the space left above the limits on a host.
func RestSpacePath(host string) string { return "rest-space-" + host }

// DeletePath is a deletion order; without creator the original's form.
func DeletePath(number int, creator string) string {
	return Name{Kind: KindDelete, Number: number, Host: creator}.Path()
}

// DeletedPath is the highest order that a host has seen.
func DeletedPath(host string) string { return "todo-global/deleted-" + host }

// AckedPath is the highest order of each creator that a host has seen.
func AckedPath(host string) string { return "todo-global/acked-" + host }

// UserspacePath is a link of an administrator's; key may have slashes.
func UserspacePath(key string) string { return "userspace/" + key }

// DefaultsPath is a default of the cluster.
func DefaultsPath(key string) string { return "defaults/" + key }

// HostDefaultsDir is the directory of a host's defaults.
func HostDefaultsDir(host string) string { return "defaults-" + host }

// HostDefaultsPath is a default of a host.
func HostDefaultsPath(host, key string) string { return HostDefaultsDir(host) + "/" + key }

// GlobalActualPath is a fact about a host as such.
func GlobalActualPath(host, key string) string { return "actual-" + host + "/" + key }

// CertPath is a host's certificate.
func CertPath(host string) string { return "pki/cert-" + host }

// RevokedPath tells that a host's certificates are refused.
func RevokedPath(host string) string { return "pki/revoked-" + host }

// ResourceDir is a resource's directory.
func ResourceDir(res string) string { return resourcePrefix + res }

func inRes(res, name string) string { return resourcePrefix + res + "/" + name }

// SizePath is the logical size.
func SizePath(res string) string { return inRes(res, "size") }

// PrimaryPath is the designated primary.
func PrimaryPath(res string) string { return inRes(res, "primary") }

// MaxNrPath keeps the highest log number of a resource that was deleted.
func MaxNrPath(res string) string { return inRes(res, "maxnr") }

// DataPath is a member's disk; its existence is the membership.
func DataPath(res, host string) string { return inRes(res, "data-"+host) }

// DevicePath is the name of a member's device below /dev/mars.
func DevicePath(res, host string) string { return inRes(res, "device-"+host) }

// ActSizePath is the physical size of a member's disk.
func ActSizePath(res, host string) string { return inRes(res, "actsize-"+host) }

// ConnectPath is the peer that a member fetches from.
func ConnectPath(res, host string) string { return inRes(res, "connect-"+host) }

// SyncStatusPath is how far a member's sync has come.
func SyncStatusPath(res, host string) string { return inRes(res, "syncstatus-"+host) }

// VerifyStatusPath is the count of a member's compared and copied blocks.
func VerifyStatusPath(res, host string) string { return inRes(res, "verifystatus-"+host) }

// SyncPosPath is what a synced member must have replayed to be consistent.
func SyncPosPath(res, host string) string { return inRes(res, "syncpos-"+host) }

// SyncFromPath is the source that a member's partial sync is valid for.
func SyncFromPath(res, host string) string { return inRes(res, "syncfrom-"+host) }

// ReplayPath is a member's replay link.
func ReplayPath(res, host string) string { return inRes(res, "replay-"+host) }

// VersionPath is a member's version link for a log number.
func VersionPath(res string, number int, host string) string {
	return Name{Kind: KindVersion, Resource: res, Number: number, Host: host}.Path()
}

// LogPath is a transaction logfile.
func LogPath(res string, number int, origin string) string {
	return Name{Kind: KindLog, Resource: res, Number: number, Host: origin}.Path()
}

// SkipCheckPath allows a member one gap in the log numbers.
func SkipCheckPath(res, host string) string { return inRes(res, "skip-check-"+host) }

// TodoDir is the directory of a member's switches.
func TodoDir(res, host string) string { return inRes(res, "todo-"+host) }

// TodoPath is a member's switch, see the keys Todo*.
func TodoPath(res, host, key string) string { return TodoDir(res, host) + "/" + key }

// ActualDir is the directory of facts about a member.
func ActualDir(res, host string) string { return inRes(res, "actual-"+host) }

// ActualPath is a fact about a member, see the keys Actual*.
func ActualPath(res, host, key string) string { return ActualDir(res, host) + "/" + key }

// LocalPath is a fact that stays on its host.
func LocalPath(res, host, key string) string { return inRes(res, "local-"+host) + "/" + key }

// LocalDir is the directory of the facts that stay on their host.
func LocalDir(res, host string) string { return inRes(res, "local-"+host) }

// ResUserspaceDir is where administrators keep links about a resource.
func ResUserspaceDir(res string) string { return inRes(res, "userspace") }

// ResUserspacePath is a link of an administrator's; key may have slashes.
func ResUserspacePath(res, key string) string { return ResUserspaceDir(res) + "/" + key }

// ResDefaultsDir is the directory of a resource's defaults.
func ResDefaultsDir(res string) string { return inRes(res, "defaults") }

// ResHostDefaultsDir is the directory of a member's defaults.
func ResHostDefaultsDir(res, host string) string { return inRes(res, "defaults-"+host) }

// Keys below todo-HOST: the switches of a member.
const (
	TodoAttach         = "attach"
	TodoConnect        = "connect"
	TodoSync           = "sync"
	TodoAllowReplay    = "allow-replay"
	TodoEmergencyLimit = "emergency-limit"
)

// ActualDevices is a key below actual-HOST of the cluster: what is to be known of
// how that host makes devices.
const ActualDevices = "devices"

// Keys below actual-HOST of a resource: the facts about a member.
const (
	ActualIsAttached    = "is-attached"
	ActualIsPrimary     = "is-primary"
	ActualIsReplaying   = "is-replaying"
	ActualIsCopying     = "is-copying"
	ActualIsSyncing     = "is-syncing"
	ActualOpenCount     = "open-count"
	ActualReplayRate    = "replay_rate"
	ActualFileRate      = "file_rate"
	ActualSyncRate      = "sync_rate"
	ActualLogfileUpdate = "logfile-update"
	ActualHasEmergency  = "has-emergency"
	ActualIsEmergency   = "is-emergency"
	ActualReplayCode    = "replay-code"
)

// ActualDevice is the key below actual-HOST that tells whether a device, named
// as below /dev/mars, is there.
func ActualDevice(name string) string { return "device-" + name }

// ActualCopySync is the key below actual-HOST that tells whether the sync of
// HOST copies.
func ActualCopySync(host string) string { return "copy-syncstatus-" + host }

// LocalConnection is the key below local-HOST of a connection, named by what is
// connected and where to: -1 broken, 0 being made, 1 there.
func LocalConnection(name string) string { return "connection-" + name }
