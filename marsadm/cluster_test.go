// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/wire"
)

func TestCreateCluster(t *testing.T) {
	s := newSys(t, "A")
	s.must("create-cluster")
	uuid := s.get("uuid")
	if !wire.ValidUUID(uuid) || s.keys.have != uuid+"/A" {
		t.Errorf("uuid %q, keys %q", uuid, s.keys.have)
	}
	s.has("ips/ip-A", "192.0.2.1", "todo-global/deleted-A", "1", "defaults/insecure-network", "", "pki/cert-A", print("A"))
	for _, dir := range []string{"userspace", "defaults", "defaults-A"} {
		if !s.tree().Exists(dir) {
			t.Errorf("no directory %s", dir)
		}
	}
	s.refused("create-cluster --force", 1, "cluster is already created")
}

func TestCreateClusterInsecure(t *testing.T) {
	s := newSys(t, "A")
	s.place.IP = ""
	s.must("create-cluster --insecure-network")
	s.has("defaults/insecure-network", "1", "ips/ip-A", "192.0.2.7", "pki/cert-A", "")
	if s.keys.have != "" {
		t.Errorf("there are keys: %s", s.keys.have)
	}
	s.loaded = true
	s.must("status")
	if !strings.Contains(s.out.String(), "INSECURE NETWORK") {
		t.Errorf("status does not warn: %s", s.out.String())
	}
}

func TestFreshRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *fakeSys)
		line  string
		code  int
		text  string
	}{
		"loaded":    {func(s *fakeSys) { s.loaded = true }, "create-cluster", 1, "marsd is running"},
		"not empty": {func(s *fakeSys) { s.file("precious", 1) }, "create-cluster", 1, "must be empty, found"},
		"logs": {func(s *fakeSys) {
			s.set("actual-A/unfinished", "x")
			s.set("resource-r/size", "1")
			s.file("resource-r/log-000000001-A", 1)
		}, "create-cluster", 1, "must be empty, found"},
		"links":       {func(s *fakeSys) { s.set("userspace/x", "y") }, "create-cluster", 1, "must be empty, found"},
		"not mounted": {func(s *fakeSys) { s.place.MarsDir, s.mounted = "/mars", false }, "create-cluster", 1, "/mars is not mounted"},
		"no /mars":    {func(s *fakeSys) {}, "create-cluster --mars-dir=/nowhere", 1, "directory does not exist"},
		"bad ip":      {func(s *fakeSys) {}, "create-cluster --ip=300.1", 1, "is no IP address"},
		"not root":    {func(s *fakeSys) { s.uid = 1000 }, "create-cluster", 1, "only root may use this tool"},
		"bad name":    {func(s *fakeSys) { s.place.Host = "a b" }, "create-cluster", 1, "the name of this host"},
		"surplus":     {func(s *fakeSys) {}, "create-cluster now", 2, "surplus argument 'now'"},
		"on another":  {func(s *fakeSys) {}, "create-cluster --host=B", 2, "can not be combined with --host"},
		"join myself": {func(s *fakeSys) {}, "join-cluster A", 1, "Cannot join myself"},
		"join nobody": {func(s *fakeSys) {}, "join-cluster", 2, "argument is missing"},
		"join option": {func(s *fakeSys) {}, "join-cluster -oProxyCommand=x", 2, "unknown option"},
		"join words":  {func(s *fakeSys) {}, "join-cluster a;b", 2, "disallowed characters"},
		"join full":   {func(s *fakeSys) { s.file("precious", 1) }, "join-cluster B", 1, "must be empty"},
		"no ssh":      {func(s *fakeSys) {}, "join-cluster B", 1, "connection refused"},
		"no cluster":  {func(s *fakeSys) {}, "show", 1, "No valid cluster UUID"},
		"leave none":  {func(s *fakeSys) { s.loaded = true }, "leave-cluster", 1, "No valid cluster UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSys(t, "A")
			c.spoil(s)
			if strings.Contains(c.line, "/nowhere") {
				s.refusedWithout(c.line, c.text)
				return
			}
			s.refused(c.line, c.code, c.text)
		})
	}
}

// refusedWithout is refused where there is no directory at all.
func (s *fakeSys) refusedWithout(line, text string) {
	s.t.Helper()
	s.fs = nil
	if code := s.adm(line); code != 1 || !strings.Contains(s.err.String(), text) {
		s.t.Errorf("marsadm %s: %d, %s", line, code, s.err.String())
	}
}

// lost+found and message files do not count.
func TestFreshIgnores(t *testing.T) {
	s := newSys(t, "A")
	s.file("5.total.status", 10)
	s.file("2.warn.log", 10)
	if err := s.fs.Mkdir("lost+found"); err != nil {
		t.Fatal(err)
	}
	s.must("create-cluster")
}

// over connects a host to members by a false ssh.
func over(from *fakeSys, members ...*fakeSys) {
	from.ssh = func(host string, stdin []byte, command []string) ([]byte, error) {
		for _, m := range members {
			if m.place.Host != host {
				continue
			}
			m.in = stdin
			code := m.adm(strings.Join(command[1:], " "))
			if code != 0 || command[0] != "marsadm" {
				return nil, errors.New(m.err.String())
			}
			return []byte(m.out.String()), nil
		}
		return nil, errors.New("no such host")
	}
}

func TestJoinCluster(t *testing.T) {
	a, b := newSys(t, "A"), newSys(t, "B")
	a.must("create-cluster")
	a.loaded = true
	a.must("set-link hello /mars/userspace/key-A")
	b.place.IP = "192.0.2.2"
	over(b, a)
	b.must("join-cluster A")
	uuid := a.get("uuid")
	a.has("ips/ip-B", "192.0.2.2", "pki/cert-B", print("B"))
	b.has("uuid", uuid, "ips/ip-A", "192.0.2.1", "ips/ip-B", "192.0.2.2", "userspace/key-A", "hello", "todo-global/deleted-B", "1")
	if b.keys.have != uuid+"/B" {
		t.Errorf("keys %q", b.keys.have)
	}
	then, _ := a.tree().Stamp("userspace/key-A")
	if now, _ := b.tree().Stamp("userspace/key-A"); now != then {
		t.Errorf("stamp %d, expected the peer's %d", now, then)
	}
	b.refused("join-cluster A", 1, "cluster is already created")

	// Again after a failure is all right, another machine of that name is not.
	again := newSys(t, "B")
	again.place.IP = "192.0.2.2"
	over(again, a)
	again.must("join-cluster A")
	other := newSys(t, "B")
	other.place.IP = "192.0.2.9"
	over(other, a)
	other.refused("join-cluster A", 1, "there is a member 'B' already")
	a.set("resource-r/data-B", "/dev/disk")
	lost := newSys(t, "B")
	lost.place.IP = "192.0.2.2"
	over(lost, a)
	lost.refused("join-cluster A", 1, "still member of resource 'r'")
}

// Whatever the peer answers: nothing is written unless it is good.
func TestJoinClusterBadAnswers(t *testing.T) {
	good := `{"mars":1,"uuid":"` + testUUID + `","insecure":false,"keys":"` + testUUID + `/B","links":[{"path":"uuid","value":"` + testUUID + `","stamp":1},{"path":"ips/ip-B","value":"192.0.2.1","stamp":1}]}`
	s := newSys(t, "B")
	s.ssh = func(string, []byte, []string) ([]byte, error) { return []byte(good), nil }
	s.must("join-cluster A")
	for name, edit := range map[string][2]string{
		"not JSON":       {`{"mars"`, `mars`},
		"version":        {`"mars":1`, `"mars":2`},
		"unknown member": {`"mars":1`, `"mars":1,"more":1`},
		"surplus":        {`]}`, `]} {}`},
		"grammar":        {`"links":[`, `"links":[{"path":"../etc/passwd","value":"x","stamp":1},`},
		"local":          {`"links":[`, `"links":[{"path":"resource-r/local-A/x","value":"x","stamp":1},`},
		"empty value":    {`"links":[`, `"links":[{"path":"alive-A","value":"","stamp":1},`},
		"twice":          {`"links":[`, `"links":[{"path":"uuid","value":"x","stamp":1},`},
		"link below":     {`"links":[`, `"links":[{"path":"userspace/a","value":"x","stamp":1},{"path":"userspace/a/b","value":"x","stamp":1},`},
		"other uuid":     {`"uuid":"0`, `"uuid":"1`},
		"no uuid":        {`"path":"uuid"`, `"path":"alive-A"`},
		"not known":      {`ips/ip-B`, `ips/ip-C`},
		"no keys":        {`"keys":"` + testUUID + `/B"`, `"keys":""`},
		"insecure":       {`"insecure":false`, `"insecure":true`},
		"wrong keys":     {`"keys":"0`, `"keys":"1`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, edit[0], edit[1], 1)
			if bad == good {
				t.Fatal("nothing was spoiled")
			}
			s := newSys(t, "B")
			s.ssh = func(string, []byte, []string) ([]byte, error) { return []byte(bad), nil }
			s.refused("join-cluster A", 1, "")
		})
	}
}

func TestEnrolRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":   "",
		"version":   `{"mars":3,"host":"D","ip":"192.0.2.4","request":"please D"}`,
		"host":      `{"mars":1,"host":"D/..","ip":"192.0.2.4","request":"please D"}`,
		"ip":        `{"mars":1,"host":"D","ip":"$(reboot)","request":"please D"}`,
		"request":   `{"mars":1,"host":"D","ip":"192.0.2.4","request":"please E"}`,
		"same name": `{"mars":1,"host":"A","ip":"192.0.2.1","request":"please A"}`,
		"long":      `{"mars":1,"host":"D","ip":"192.0.2.4","request":"` + strings.Repeat("x", maxRequest) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newMember(t, "A")
			s.in = []byte(in)
			s.refused("enrol", 1, "")
			if s.out.Len() > 0 {
				t.Errorf("it answers %s", s.out.String())
			}
		})
	}
}

// The real keys, through the same path.
func TestJoinWithRealKeys(t *testing.T) {
	dir := t.TempDir()
	a, b := NewKeys(filepath.Join(dir, "a")), NewKeys(filepath.Join(dir, "b"))
	if _, err := a.Mint(testUUID, "A"); err != nil {
		t.Fatal(err)
	}
	req, err := b.Request("B")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Admit(req, "C"); err == nil {
		t.Error("a request of B is signed for C")
	}
	answer, first, err := a.Admit(req, "B")
	if err != nil {
		t.Fatal(err)
	}
	if _, second, err := a.Admit(req, "B"); err != nil || first == second || len(first) != 64 {
		t.Errorf("fingerprints %q and %q, %v", first, second, err)
	}
	if cluster, err := b.Install("B", answer); err != nil || cluster != testUUID {
		t.Fatalf("cluster %q, %v", cluster, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b", "ca.key")); err != nil {
		t.Errorf("B can not admit others: %v", err)
	}
}

func TestLeaveCluster(t *testing.T) {
	s := newMember(t, "B")
	s.set("resource-r/data-B", "/dev/disk")
	s.refused("leave-cluster", 1, "member of some resources: r")
	s.remove("resource-r/data-B")
	s.loaded = false
	s.refused("leave-cluster", 1, "no marsd is running")
	s.loaded = true
	s.must("leave-cluster")
	if got := strings.Join(s.targets(), " "); got != "ips/ip-B todo-global/deleted-B" {
		t.Errorf("orders for %s", got)
	}
}

func TestLeaveClusterOfLostHost(t *testing.T) {
	s := newMember(t, "A")
	s.set("alive-C", "1", "resource-r/data-C", "/dev/disk")
	s.refused("leave-cluster --host=D", 1, "host 'D' is not a member")
	s.must("leave-cluster --host=C --force")
	if got := strings.Join(s.targets(), " "); got != "ips/ip-C alive-C" {
		t.Errorf("orders for %s", got)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"mars":1,"uuid":"` + testUUID + `","insecure":false,"keys":"k","links":[{"path":"uuid","value":"` + testUUID + `","stamp":1},{"path":"ips/ip-B","value":"x","stamp":1}]}`))
	f.Add([]byte(`{"mars":1,"host":"D","ip":"192.0.2.4","request":"please D"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := readAnswer(data, "B"); err == nil && !wire.ValidUUID(a.UUID) {
			t.Errorf("accepted uuid %q", a.UUID)
		}
		if r, err := readRequest(data); err == nil && validIP(r.IP) != nil {
			t.Errorf("accepted address %q", r.IP)
		}
	})
}
