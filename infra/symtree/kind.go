// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import "strings"

// Kind is what a name in the symlink tree stands for.
type Kind uint8

// The kinds of names. Those that end in Dir are directories; KindLog is a
// regular file; KindUserspace may be a directory or a link; all others are
// links (KindData may also be a sparse file, on its own host).
const (
	KindNone Kind = iota // not in the grammar

	KindUUID
	KindIPsDir
	KindIP
	KindAlive
	KindTime
	KindTree
	KindEmergency
	KindRestSpace
	KindTodoGlobalDir
	KindDelete
	KindDeleted
	KindAcked
	KindUserspaceDir
	KindUserspace
	KindDefaultsDir
	KindDefaults
	KindHostDefaultsDir
	KindHostDefaults
	KindGlobalActualDir
	KindGlobalActual
	KindPKIDir
	KindCert
	KindRevoked

	KindResourceDir
	KindSize
	KindPrimary
	KindData
	KindDevice
	KindActSize
	KindConnect
	KindTodoDir
	KindTodo
	KindSyncStatus
	KindVerifyStatus
	KindSyncPos
	KindSyncFrom
	KindReplay
	KindVersion
	KindLog
	KindSkipCheck
	KindMaxNr
	KindActualDir
	KindActual
	KindLocalDir
	KindLocal
	KindResUserspaceDir
	KindResUserspace
	KindResDefaultsDir
	KindResDefaults
	KindResHostDefaultsDir
	KindResHostDefaults

	kindEnd
)

// shape is which entries may stand under a kind of name.
type shape uint8

const (
	isLink  shape = 1 << iota // a symlink
	isDir                     // a directory
	isFile                    // a regular file
	isOwned                   // only the host in the name writes it
	isLocal                   // never leaves its host
	isNode  shape = isLink | isDir
)

// rule is one line of the grammar. In the pattern $r is a resource, $h a host,
// $n nine digits, $m nine digits with an optional "-" host behind, $k a key
// (the whole component), $* one or more free components.
type rule struct {
	shape   shape
	pattern string
}

// rules is the grammar: all names that exist. It is indexed by Kind.
var rules = [kindEnd]rule{
	KindUUID:            {isLink, "uuid"},
	KindIPsDir:          {isDir, "ips"},
	KindIP:              {isLink | isOwned, "ips/ip-$h"},
	KindAlive:           {isLink | isOwned, "alive-$h"},
	KindTime:            {isLink | isOwned, "time-$h"},
	KindTree:            {isLink | isOwned, "tree-$h"},
	KindEmergency:       {isLink | isOwned, "emergency-$h"},
	KindRestSpace:       {isLink | isOwned, "rest-space-$h"},
	KindTodoGlobalDir:   {isDir, "todo-global"},
	KindDelete:          {isLink, "todo-global/delete-$m"},
	KindDeleted:         {isLink | isOwned, "todo-global/deleted-$h"},
	KindAcked:           {isLink | isOwned, "todo-global/acked-$h"},
	KindUserspaceDir:    {isDir, "userspace"},
	KindUserspace:       {isNode, "userspace/$*"},
	KindDefaultsDir:     {isDir, "defaults"},
	KindDefaults:        {isLink, "defaults/$k"},
	KindHostDefaultsDir: {isDir, "defaults-$h"},
	KindHostDefaults:    {isLink, "defaults-$h/$k"},
	KindGlobalActualDir: {isDir, "actual-$h"},
	KindGlobalActual:    {isLink | isOwned, "actual-$h/$k"},
	KindPKIDir:          {isDir, "pki"},
	KindCert:            {isLink | isOwned, "pki/cert-$h"},
	KindRevoked:         {isLink, "pki/revoked-$h"},

	KindResourceDir:        {isDir, "resource-$r"},
	KindSize:               {isLink, "resource-$r/size"},
	KindPrimary:            {isLink, "resource-$r/primary"},
	KindData:               {isLink | isFile | isOwned, "resource-$r/data-$h"},
	KindDevice:             {isLink | isOwned, "resource-$r/device-$h"},
	KindActSize:            {isLink | isOwned, "resource-$r/actsize-$h"},
	KindConnect:            {isLink, "resource-$r/connect-$h"},
	KindTodoDir:            {isDir, "resource-$r/todo-$h"},
	KindTodo:               {isLink, "resource-$r/todo-$h/$k"},
	KindSyncStatus:         {isLink | isOwned, "resource-$r/syncstatus-$h"},
	KindVerifyStatus:       {isLink | isOwned, "resource-$r/verifystatus-$h"},
	KindSyncPos:            {isLink | isOwned, "resource-$r/syncpos-$h"},
	KindSyncFrom:           {isLink | isOwned, "resource-$r/syncfrom-$h"},
	KindReplay:             {isLink | isOwned, "resource-$r/replay-$h"},
	KindVersion:            {isLink | isOwned, "resource-$r/version-$n-$h"},
	KindLog:                {isFile | isLocal, "resource-$r/log-$n-$h"},
	KindSkipCheck:          {isLink | isOwned, "resource-$r/skip-check-$h"},
	KindMaxNr:              {isLink, "resource-$r/maxnr"},
	KindActualDir:          {isDir, "resource-$r/actual-$h"},
	KindActual:             {isLink | isOwned, "resource-$r/actual-$h/$k"},
	KindLocalDir:           {isDir | isLocal, "resource-$r/local-$h"},
	KindLocal:              {isLink | isLocal | isOwned, "resource-$r/local-$h/$k"},
	KindResUserspaceDir:    {isDir, "resource-$r/userspace"},
	KindResUserspace:       {isNode, "resource-$r/userspace/$*"},
	KindResDefaultsDir:     {isDir, "resource-$r/defaults"},
	KindResDefaults:        {isLink, "resource-$r/defaults/$k"},
	KindResHostDefaultsDir: {isDir, "resource-$r/defaults-$h"},
	KindResHostDefaults:    {isLink, "resource-$r/defaults-$h/$k"},
}

func (k Kind) shape() shape {
	if k >= kindEnd {
		return 0
	}
	return rules[k].shape
}

// Pattern is the form of the kind's names, like "resource-$r/replay-$h", for
// messages and the catalogue. Empty for KindNone.
func (k Kind) Pattern() string {
	if k >= kindEnd {
		return ""
	}
	return rules[k].pattern
}

// String is the pattern.
func (k Kind) String() string { return k.Pattern() }

// IsDir reports whether a name of this kind can only be a directory.
func (k Kind) IsDir() bool { return k.shape()&isNode == isDir }

// Replicated reports whether entries of this kind travel to other hosts: links
// do, but for those below local-HOST. Logs are fetched in another way.
func (k Kind) Replicated() bool { return k.shape()&isLink != 0 && k.shape()&isLocal == 0 }

// Allows reports whether an entry of that sort may stand under this kind of
// name. What is not allowed does not exist for us.
func (k Kind) Allows(e EntryKind) bool {
	switch e {
	case Link:
		return k.shape()&isLink != 0
	case Dir:
		return k.shape()&isDir != 0
	case File:
		return k.shape()&isFile != 0
	}
	return false
}

// InResource reports whether names of this kind lie in a resource's directory,
// which itself counts as well.
func (k Kind) InResource() bool { return strings.HasPrefix(k.Pattern(), resourcePrefix) }

const resourcePrefix = "resource-"
