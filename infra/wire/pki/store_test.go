package pki

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	uuidA = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	uuidB = "6ba7b811-9dad-41d1-80b4-00c04fd430c8"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// minted returns a directory with the keys of a new cluster.
func minted(t *testing.T, cluster, host string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc", "pki")
	must(t, Mint(dir, cluster, host))
	return dir
}

// joined returns a directory with the keys of a host that member has admitted.
func joined(t *testing.T, member, host string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	join(t, dir, member, host)
	return dir
}

func join(t *testing.T, dir, member, host string) {
	t.Helper()
	csr, err := NewRequest(dir, host)
	must(t, err)
	cert, ca, err := Sign(member, csr, host)
	must(t, err)
	caKey, err := CAKey(member)
	must(t, err)
	cert, ca, caKey, err = Unpack(Pack(cert, ca, caKey))
	must(t, err)
	must(t, Install(dir, host, cert, ca, caKey))
}

func loaded(t *testing.T, dir string) *Identity {
	t.Helper()
	id, err := Load(dir)
	must(t, err)
	return id
}

func TestMintAndJoin(t *testing.T) {
	alpha := minted(t, uuidA, "alpha")
	if id := loaded(t, alpha); id.Cluster != uuidA || id.Host != "alpha" {
		t.Errorf("minted %q in %q", id.Host, id.Cluster)
	}
	beta := joined(t, alpha, "beta")
	if id := loaded(t, beta); id.Cluster != uuidA || id.Host != "beta" {
		t.Errorf("joined %q in %q", id.Host, id.Cluster)
	}
	gamma := joined(t, beta, "gamma") // through a host that did not create the cluster
	if id := loaded(t, gamma); id.Cluster != uuidA || id.Host != "gamma" {
		t.Errorf("joined %q in %q", id.Host, id.Cluster)
	}
	for _, dir := range []string{alpha, beta, gamma} {
		modes(t, dir)
		if _, err := os.Lstat(stage(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", stage(dir), err)
		}
	}
	if loaded(t, alpha).Fingerprint() == loaded(t, beta).Fingerprint() || len(loaded(t, alpha).Fingerprint()) != 64 {
		t.Error("fingerprints are not good")
	}
}

// modes checks that nobody else can reach the keys.
func modes(t *testing.T, dir string) {
	t.Helper()
	st, err := os.Stat(dir)
	must(t, err)
	if st.Mode().Perm() != dirMode {
		t.Errorf("%s has mode %v", dir, st.Mode())
	}
	list, err := os.ReadDir(dir)
	must(t, err)
	if len(list) != len(names) {
		t.Errorf("%s holds %v", dir, list)
	}
	for _, e := range list {
		info, err := e.Info()
		must(t, err)
		if info.Mode() != fileMode {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestMintRefuses(t *testing.T) {
	dir := minted(t, uuidA, "alpha")
	before := loaded(t, dir).Fingerprint()
	if err := Mint(dir, uuidA, "alpha"); !errors.Is(err, ErrExists) {
		t.Errorf("the same cluster again: %v", err)
	}
	if loaded(t, dir).Fingerprint() != before {
		t.Error("the keys have changed")
	}
	for _, tc := range [][2]string{{"", "alpha"}, {"mars", "alpha"}, {uuidB, ""}, {uuidB, "a/b"}, {uuidB, "all"}, {uuidB, strings.Repeat("x", 64)}} {
		if err := Mint(dir, tc[0], tc[1]); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", tc, err)
		}
	}
}

func TestOtherKeysAreMovedAside(t *testing.T) {
	dir := minted(t, uuidA, "alpha")
	first := loaded(t, dir).Fingerprint()
	must(t, Mint(dir, uuidB, "alpha"))
	must(t, Mint(dir, uuidA, "alpha"))
	must(t, Mint(dir, uuidB, "alpha"))
	for name, cluster := range map[string]string{dir: uuidB, dir + "." + uuidA + ".1": uuidA, dir + "." + uuidA + ".2": uuidA, dir + "." + uuidB + ".1": uuidB} {
		if id := loaded(t, name); id.Cluster != cluster {
			t.Errorf("%s is of cluster %s", name, id.Cluster)
		}
		modes(t, name)
	}
	if loaded(t, dir+"."+uuidA+".1").Fingerprint() != first {
		t.Error("the first keys are not the first ones moved")
	}
	join(t, dir, minted(t, uuidA, "beta"), "alpha") // by joining, too
	if loaded(t, dir).Cluster != uuidA || loaded(t, dir+"."+uuidB+".2").Cluster != uuidB {
		t.Error("joining did not move the keys aside")
	}
}

func TestUnknownFilesAreMovedAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "precious"), []byte("x"), 0o600))
	must(t, Mint(dir+"/", uuidA, "alpha"))
	if _, err := os.Stat(filepath.Join(dir+".unknown.1", "precious")); err != nil {
		t.Error(err)
	}
	empty := filepath.Join(t.TempDir(), "pki")
	must(t, os.Mkdir(empty, 0o755))
	must(t, Mint(empty, uuidA, "alpha"))
	modes(t, empty)
	if list, _ := filepath.Glob(empty + ".*"); len(list) != 0 {
		t.Errorf("an empty directory was kept: %v", list)
	}
}

func TestInstallRefuses(t *testing.T) {
	alpha := minted(t, uuidA, "alpha")
	caKey, err := CAKey(alpha)
	must(t, err)
	other, err := CAKey(minted(t, uuidA, "alpha"))
	must(t, err)
	dir := minted(t, uuidB, "beta")
	before := loaded(t, dir).Fingerprint()

	old, err := NewRequest(dir, "beta")
	must(t, err)
	oldCert, ca, err := Sign(alpha, old, "beta")
	must(t, err)
	csr, err := NewRequest(dir, "beta") // the first one is forgotten
	must(t, err)
	cert, _, err := Sign(alpha, csr, "beta")
	must(t, err)
	_, foreignCA, err := Sign(minted(t, uuidA, "alpha"), csr, "beta")
	must(t, err)

	for _, tc := range []struct {
		name            string
		host            string
		cert, ca, caKey []byte
		want            error
	}{
		{"another request's certificate", "beta", oldCert, ca, caKey, ErrIdentity},
		{"for another host", "gamma", cert, ca, caKey, ErrIdentity},
		{"another authority", "beta", cert, foreignCA, nil, ErrIdentity},
		{"another authority's key", "beta", cert, ca, other, ErrIdentity},
		{"the authority as host", "beta", ca, ca, caKey, ErrIdentity},
		{"a host as authority", "beta", cert, cert, nil, ErrIdentity},
		{"garbage", "beta", []byte("x"), ca, caKey, ErrFormat},
		{"garbage for the authority", "beta", cert, []byte("x"), caKey, ErrFormat},
		{"garbage for its key", "beta", cert, ca, []byte("x"), ErrFormat},
		{"too much", "beta", bytes.Repeat([]byte("\n"), maxPEM+1), ca, caKey, ErrFormat},
	} {
		if err := Install(dir, tc.host, tc.cert, tc.ca, tc.caKey); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if loaded(t, dir).Fingerprint() != before {
			t.Fatalf("%s: the keys have changed", tc.name)
		}
	}
	must(t, Install(dir, "beta", cert, ca, nil)) // after all the failures
	if _, err := CAKey(dir); !errors.Is(err, ErrNoCAKey) {
		t.Errorf("without the authority's key: %v", err)
	}
	if _, _, err := Sign(dir, csr, "beta"); !errors.Is(err, ErrNoCAKey) {
		t.Errorf("signing without the authority's key: %v", err)
	}
	if err := Install(dir, "beta", cert, ca, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("without a request: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	for _, tc := range []struct {
		name string
		harm func(dir string) error
		want error
	}{
		{"directory open", func(d string) error { return os.Chmod(d, 0o750) }, ErrMode},
		{"key open", func(d string) error { return os.Chmod(filepath.Join(d, nodeKey), 0o640) }, ErrMode},
		{"no certificate", func(d string) error { return os.Remove(filepath.Join(d, nodeCert)) }, fs.ErrNotExist},
		{"no key", func(d string) error { return os.Remove(filepath.Join(d, nodeKey)) }, fs.ErrNotExist},
		{"no authority", func(d string) error { return os.Remove(filepath.Join(d, caCert)) }, fs.ErrNotExist},
		{"certificate is a directory", func(d string) error {
			must(t, os.Remove(filepath.Join(d, nodeCert)))
			return os.Mkdir(filepath.Join(d, nodeCert), 0o700)
		}, ErrFormat},
		{"empty key", func(d string) error { return os.Truncate(filepath.Join(d, nodeKey), 0) }, ErrFormat},
		{"huge key", func(d string) error { return os.Truncate(filepath.Join(d, nodeKey), 1<<40) }, ErrFormat},
		{"another key", func(d string) error { return os.Rename(filepath.Join(d, caKeyFile), filepath.Join(d, nodeKey)) }, ErrIdentity},
	} {
		dir := minted(t, uuidA, "alpha")
		must(t, tc.harm(dir))
		if _, err := Load(dir); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	alpha := minted(t, uuidA, "alpha")
	csr, err := NewRequest(filepath.Join(t.TempDir(), "pki"), "beta")
	must(t, err)
	if host, err := RequestHost(csr); host != "beta" || err != nil {
		t.Errorf("RequestHost: %q, %v", host, err)
	}
	flipped := bytes.Clone(csr)
	flipped[len(flipped)/2] ^= 1
	for _, tc := range []struct {
		name string
		csr  []byte
		host string
		want error
	}{
		{"another name", csr, "alpha", ErrIdentity},
		{"nothing", nil, "beta", ErrFormat},
		{"damaged", flipped, "beta", ErrFormat},
		{"twice", append(bytes.Clone(csr), csr...), "beta", ErrFormat},
		{"a certificate", encode(pemCert, loaded(t, alpha).ca.Raw), "beta", ErrFormat},
		{"too long", append(bytes.Clone(csr), make([]byte, maxPEM)...), "beta", ErrFormat},
	} {
		if _, _, err := Sign(alpha, tc.csr, tc.host); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if _, err := NewRequest(t.TempDir(), "a b"); !errors.Is(err, ErrFormat) {
		t.Errorf("a request for a bad name: %v", err)
	}
	if _, _, err := Sign(t.TempDir(), csr, "beta"); err == nil {
		t.Error("signed without keys")
	}
}

func TestUnpackRefuses(t *testing.T) {
	alpha := minted(t, uuidA, "alpha")
	id := loaded(t, alpha)
	ca := encode(pemCert, id.ca.Raw)
	key, err := CAKey(alpha)
	must(t, err)
	if _, _, k, err := Unpack(Pack(ca, ca, nil)); err != nil || k != nil {
		t.Errorf("without a key: %q, %v", k, err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "one part": ca, "the key first": Pack(key, ca, ca), "a third certificate": Pack(ca, ca, ca),
		"a fourth part": append(Pack(ca, ca, key), ca...), "garbage behind": append(Pack(ca, ca, nil), "x"...),
		"too long": append(Pack(ca, ca, key), make([]byte, 3*maxPEM)...),
	} {
		if _, _, _, err := Unpack(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"a": true, "node-1.example.com": true, "_x": true, "1": true, strings.Repeat("x", 63): true, "All": true,
		"": false, "all": false, "(none)": false, "-a": false, ".": false, "..": false, "a/b": false, "a b": false, "ä": false,
		"a\n": false, "a%62": false, "a?": false, "a:1": false, "a@b": false, strings.Repeat("x", 64): false,
	} {
		if ValidHost(host) != want {
			t.Errorf("ValidHost(%q) = %v", host, !want)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("mars://" + uuidA + "/alpha")
	f.Add("mars://" + uuidA)
	f.Add("mars://" + uuidA + "/")
	f.Add("http://" + uuidA + "/a")
	f.Fuzz(func(t *testing.T, text string) {
		cluster, host, err := parseURI(text)
		if err == nil && identityURI(cluster, host).String() != text {
			t.Errorf("%q was read as %q, %q", text, cluster, host)
		}
		if err != nil && !errors.Is(err, ErrIdentity) {
			t.Error(err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	csr, err := NewRequest(filepath.Join(f.TempDir(), "pki"), "beta")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		host, err := RequestHost(text)
		if err != nil && !errors.Is(err, ErrFormat) || err == nil && !ValidHost(host) {
			t.Errorf("%q, %v", host, err)
		}
		if _, _, _, err := Unpack(text); err != nil && !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	})
}
