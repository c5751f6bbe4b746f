// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]Name{
		"uuid":                                {Kind: KindUUID},
		"ips":                                 {Kind: KindIPsDir},
		"ips/ip-host-a.x":                     {Kind: KindIP, Host: "host-a.x"},
		"alive-a":                             {Kind: KindAlive, Host: "a"},
		"rest-space-1":                        {Kind: KindRestSpace, Host: "1"},
		"todo-global/delete-000000007":        {Kind: KindDelete, Number: 7},
		"todo-global/delete-000000007-b-1":    {Kind: KindDelete, Number: 7, Host: "b-1"},
		"todo-global/deleted-b":               {Kind: KindDeleted, Host: "b"},
		"todo-global/acked-b":                 {Kind: KindAcked, Host: "b"},
		"userspace":                           {Kind: KindUserspaceDir},
		"userspace/a b/ä":                     {Kind: KindUserspace, Key: "a b/ä"},
		"defaults":                            {Kind: KindDefaultsDir},
		"defaults/sync-limit":                 {Kind: KindDefaults, Key: "sync-limit"},
		"defaults-h":                          {Kind: KindHostDefaultsDir, Host: "h"},
		"defaults-h/sync-limit":               {Kind: KindHostDefaults, Host: "h", Key: "sync-limit"},
		"actual-h/features":                   {Kind: KindGlobalActual, Host: "h", Key: "features"},
		"pki/cert-h":                          {Kind: KindCert, Host: "h"},
		"pki/revoked-h":                       {Kind: KindRevoked, Host: "h"},
		"resource-r":                          {Kind: KindResourceDir, Resource: "r"},
		"resource-r-s":                        {Kind: KindResourceDir, Resource: "r-s"},
		"resource-r/size":                     {Kind: KindSize, Resource: "r"},
		"resource-r/data-h":                   {Kind: KindData, Resource: "r", Host: "h"},
		"resource-r/todo-h/allow-replay":      {Kind: KindTodo, Resource: "r", Host: "h", Key: "allow-replay"},
		"resource-r/skip-check-h":             {Kind: KindSkipCheck, Resource: "r", Host: "h"},
		"resource-r/version-000000012-h":      {Kind: KindVersion, Resource: "r", Number: 12, Host: "h"},
		"resource-r/log-999999999-log-1-2":    {Kind: KindLog, Resource: "r", Number: 999999999, Host: "log-1-2"},
		"resource-r/log-000000001-version-0":  {Kind: KindLog, Resource: "r", Number: 1, Host: "version-0"},
		"resource-r/actual-h/copy-syncstatus": {Kind: KindActual, Resource: "r", Host: "h", Key: "copy-syncstatus"},
		"resource-r/local-h/connection-x":     {Kind: KindLocal, Resource: "r", Host: "h", Key: "connection-x"},
		"resource-r/userspace/x/y":            {Kind: KindResUserspace, Resource: "r", Key: "x/y"},
		"resource-r/defaults-h/k":             {Kind: KindResHostDefaults, Resource: "r", Host: "h", Key: "k"},
		"resource-r/maxnr":                    {Kind: KindMaxNr, Resource: "r"},
	} {
		n, err := Parse(path)
		if err != nil || n != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", path, n, err, want)
		}
		if n.Path() != path {
			t.Errorf("Path of %q is %q", path, n.Path())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("x", 64)
	for _, path := range []string{
		"", ".", "..", "/", "/uuid", "uuid/", "uuid/x", "uuid2", "ips/", "ips/ip-", "ips/ip-all", "ips/ip-(none)", "ips//ip-a", "ips/ip-a/b",
		"ips/../uuid", "alive-", "alive--a", "alive-.a", "alive-" + long, "todo-global/delete-", "todo-global/delete-1",
		"todo-global/delete-000000000", "todo-global/delete-0000000001", "todo-global/delete-000000001-", "todo-global/delete-00000000x-a",
		"todo-global/delete-000000001x", "todo-global/delete-000000001a-b", "resource-", "resource-1", "resource-a.b", "resource-all", "resource-" + long, "resource-r/",
		"resource-r/data-", "resource-r/log-1-a", "resource-r/log-000000001", "resource-r/log-000000001-", "resource-r/log-+00000001-a",
		"resource-r/version-000000000-a", "resource-r/version-000000001a", "resource-r/todo-h/", "resource-r/todo-h/a/b", "resource-r/todo-h/.x",
		"resource-r/todo-h/a b", "resource-r/.tmp-size", "resource-r/.deleted-size", ".tmp-uuid", "userspace/", "userspace/.tmp-x", "userspace/a/.deleted-x",
		"userspace/a//b", "userspace/..", "userspace/a/../b", "userspace/a\nb", "userspace/a\x00b", "userspace/\xff", "userspace/" + strings.Repeat("y", 241),
		"userspace" + strings.Repeat("/a", 8), "userspace/" + strings.Repeat("z/", 600) + "z", "resource-r/_file-000000001-h", "pki/ca.key", "lost+found",
		"resource-r/todo-" + long + "/x", "resource-r/actual-h/" + strings.Repeat("k", 129), "ips/ip-a\n", "defaults/",
	} {
		if n, err := Parse(path); !errors.Is(err, ErrGrammar) {
			t.Errorf("Parse(%q) = %+v, %v; want ErrGrammar", path, n, err)
		}
	}
}

// TestInside: a name taken in its directory is what it is as a path.
func TestInside(t *testing.T) {
	dirs := []string{".", "ips", "todo-global", "userspace", "userspace/a", "defaults", "defaults-h", "actual-h", "pki", "resource-r", "resource-r/todo-h", "resource-r/actual-h",
		"resource-r/local-h", "resource-r/userspace", "resource-r/defaults", "resource-r/defaults-h", "resource-1", "nowhere", "resource-r/todo-" + strings.Repeat("x", 64)}
	names := []string{"uuid", "ip-a", "delete-000000001", "delete-000000001-a", "deleted-a", "a b", "k", "is-attached", ".x", "-x", ".tmp-k", ".deleted-k", "", ".", "..", "a/b", "size", "data-h",
		"log-000000001-h", "version-000000001-h", "log-1-h", "todo-h", "actual-h", "all", "resource-r", "resource-all", "resource-r/size", "cert-h", strings.Repeat("k", 128), strings.Repeat("k", 129)}
	for _, dir := range dirs {
		for _, name := range names {
			path := dir + "/" + name
			if dir == "." {
				path = name
			}
			want, _ := Parse(path)
			if strings.Contains(name, "/") {
				want.Kind = KindNone // no name of an entry
			}
			if got := inDir(dir).kind(name); got != want.Kind {
				t.Errorf("%q in %q is %v, want %v", name, dir, got, want.Kind)
			}
		}
	}
}

// TestPaths: each constructor makes a name of its kind, and every kind but
// those that are never written by us has a constructor.
func TestPaths(t *testing.T) {
	const r, h = "r-1", "h.x-1"
	seen := map[Kind]bool{}
	for path, want := range map[string]Kind{
		UUIDPath(): KindUUID, IPsDir(): KindIPsDir, IPPath(h): KindIP, AlivePath(h): KindAlive, TimePath(h): KindTime, TreePath(h): KindTree,
		EmergencyPath(h): KindEmergency, RestSpacePath(h): KindRestSpace, TodoGlobalDir(): KindTodoGlobalDir, DeletePath(3, ""): KindDelete,
		DeletePath(3, h): KindDelete, DeletedPath(h): KindDeleted, AckedPath(h): KindAcked, UserspaceDir(): KindUserspaceDir, UserspacePath("a/b"): KindUserspace,
		DefaultsDir(): KindDefaultsDir, DefaultsPath("k"): KindDefaults, HostDefaultsDir(h): KindHostDefaultsDir, HostDefaultsPath(h, "k"): KindHostDefaults,
		GlobalActualPath(h, "k"): KindGlobalActual, Parent(GlobalActualPath(h, "k")): KindGlobalActualDir, PKIDir(): KindPKIDir, CertPath(h): KindCert, RevokedPath(h): KindRevoked,
		ResourceDir(r): KindResourceDir, SizePath(r): KindSize, PrimaryPath(r): KindPrimary, DataPath(r, h): KindData, DevicePath(r, h): KindDevice,
		ActSizePath(r, h): KindActSize, ConnectPath(r, h): KindConnect, TodoDir(r, h): KindTodoDir, TodoPath(r, h, TodoAttach): KindTodo,
		SyncStatusPath(r, h): KindSyncStatus, VerifyStatusPath(r, h): KindVerifyStatus, SyncPosPath(r, h): KindSyncPos, SyncFromPath(r, h): KindSyncFrom,
		ReplayPath(r, h): KindReplay, VersionPath(r, 2, h): KindVersion, LogPath(r, 2, h): KindLog, SkipCheckPath(r, h): KindSkipCheck, MaxNrPath(r): KindMaxNr,
		ActualDir(r, h): KindActualDir, ActualPath(r, h, ActualIsPrimary): KindActual, LocalDir(r, h): KindLocalDir, LocalPath(r, h, "k"): KindLocal,
		ResUserspaceDir(r): KindResUserspaceDir, ResUserspacePath(r, "k"): KindResUserspace, ResDefaultsDir(r): KindResDefaultsDir,
		ResDefaultsDir(r) + "/k": KindResDefaults, ResHostDefaultsDir(r, h): KindResHostDefaultsDir, ResHostDefaultsDir(r, h) + "/k": KindResHostDefaults,
	} {
		n, err := Parse(path)
		if err != nil || n.Kind != want {
			t.Errorf("%q is %v (%v), want %v", path, n.Kind, err, want)
		}
		if n.Kind.InResource() != (n.Resource == r) {
			t.Errorf("%q: InResource is wrong", path)
		}
		seen[want] = true
	}
	for k := KindUUID; k < kindEnd; k++ {
		if !seen[k] {
			t.Errorf("no constructor makes %v", k)
		}
		if k.Allows(Link) && k.IsDir() || !k.Allows(Link) && !k.Allows(Dir) && !k.Allows(File) {
			t.Errorf("%v: contradictory shape", k)
		}
	}
}

func TestOwner(t *testing.T) {
	for path, want := range map[string]string{
		"alive-a": "a", "time-a": "a", "tree-a": "a", "emergency-a": "a", "rest-space-a": "a", "ips/ip-a": "a", "actual-a/x": "a",
		"todo-global/deleted-a": "a", "todo-global/acked-a": "a", "todo-global/delete-000000001-a": "",
		"resource-r/actsize-a": "a", "resource-r/replay-a": "a", "resource-r/version-000000001-a": "a", "resource-r/syncstatus-a": "a",
		"resource-r/syncpos-a": "a", "resource-r/syncfrom-a": "a", "resource-r/verifystatus-a": "a", "resource-r/actual-a/is-primary": "a",
		"resource-r/data-a": "a", "resource-r/device-a": "a", "resource-r/todo-a/attach": "", "resource-r/primary": "", "resource-r/size": "",
		"resource-r/connect-a": "", "userspace/a": "", "defaults-a/x": "", "uuid": "",
	} {
		n, err := Parse(path)
		if err != nil || n.Owner() != want {
			t.Errorf("owner of %s is %q (%v), want %q", path, n.Owner(), err, want)
		}
	}
}

func TestCheckNames(t *testing.T) {
	for name, want := range map[string][2]bool{ // resource, host
		"a": {true, true}, "_": {true, true}, "A-z_0": {true, true}, "1": {false, true}, "a.b": {false, true}, "-a": {}, ".a": {}, "": {},
		"all": {}, "(none)": {}, "a/b": {}, "a b": {}, "ä": {}, "a\n": {}, "All": {true, true},
		strings.Repeat("x", 63): {true, true}, strings.Repeat("x", 64): {},
	} {
		for i, check := range []func(string) error{CheckResource, CheckHost} {
			err := check(name)
			if (err == nil) != want[i] {
				t.Errorf("check %d of %q: %v, want ok %v", i, name, err, want[i])
			}
			var ne *NameError
			if err != nil && (!errors.As(err, &ne) || !errors.Is(err, ErrName) || ne.Name != name) {
				t.Errorf("check %d of %q: not a NameError: %v", i, name, err)
			}
		}
		if (CheckDevice(name) == nil) != want[0] {
			t.Errorf("CheckDevice(%q) differs from CheckResource", name)
		}
	}
}

func TestUserPaths(t *testing.T) {
	if got := ToUser("resource-r/size"); got != "/mars/resource-r/size" {
		t.Errorf("ToUser = %q", got)
	}
	for path, want := range map[string]string{"/mars/userspace/x": "userspace/x", "/mars/resource-r/todo-h/": "resource-r/todo-h", "/mars/x y": "x y"} {
		if got, err := FromUser(path); err != nil || got != want {
			t.Errorf("FromUser(%q) = %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"", "/", "/mars", "/mars/", "/mars//", "mars/x", "/marsx/x", "/mars/../etc", "/mars/x/../y", "/mars/./x", "/mars/x//", "/mars/x//y", "/etc/passwd", "/mars/x\x00"} {
		if got, err := FromUser(path); !errors.Is(err, ErrOutside) {
			t.Errorf("FromUser(%q) = %q, %v; want ErrOutside", path, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for k := KindUUID; k < kindEnd; k++ {
		f.Add(Name{Kind: k, Resource: "r", Host: "h-1.x", Number: 42, Key: "key"}.Path())
	}
	f.Add("userspace/a/../b")
	f.Fuzz(func(t *testing.T, path string) {
		n, err := Parse(path)
		if err != nil {
			return
		}
		if n.Path() != path {
			t.Fatalf("%q came back as %q", path, n.Path())
		}
		for c := range strings.SplitSeq(path, "/") {
			if c == "" || c[0] == '.' && !strings.Contains(path, "userspace/") || c == ".." || Hidden(c) || len(c) > 255-len(MarkerPrefix) {
				t.Fatalf("component %q of %q is dangerous", c, path)
			}
		}
		if back, err := FromUser(ToUser(path)); err != nil || back != path {
			t.Fatalf("%q came back as %q, %v", path, back, err)
		}
	})
}

func FuzzFromUser(f *testing.F) {
	f.Add("/mars/userspace/x")
	f.Add("/mars/../x")
	f.Fuzz(func(t *testing.T, path string) {
		rel, err := FromUser(path)
		if err == nil && strings.TrimSuffix(path, "/") != ToUser(rel) {
			t.Fatalf("%q became %q", path, rel)
		}
	})
}

// drawHost and drawKey make names that look like others' parts.
func drawHost(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "a-1", "000000001-a", "log-000000001-a", "h.x"}).Draw(t, "host")
}

func TestPathRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Name{Kind: Kind(rapid.IntRange(1, int(kindEnd)-1).Draw(t, "kind"))}
		p := n.Kind.Pattern()
		if strings.Contains(p, "$r") {
			n.Resource = rapid.SampledFrom([]string{"r", "r-1", "size", "log-000000001-a"}).Draw(t, "res")
		}
		if strings.Contains(p, "$h") || strings.Contains(p, "$m") && rapid.Bool().Draw(t, "creator") {
			n.Host = drawHost(t)
		}
		if strings.Contains(p, "$n") || strings.Contains(p, "$m") {
			n.Number = rapid.IntRange(1, MaxNumber).Draw(t, "number")
		}
		if strings.Contains(p, "$k") || strings.Contains(p, "$*") {
			n.Key = drawHost(t)
		}
		if got, err := Parse(n.Path()); err != nil || got != n {
			t.Fatalf("%+v as %q came back as %+v, %v", n, n.Path(), got, err)
		}
	})
}
