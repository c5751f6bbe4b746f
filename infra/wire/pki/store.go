package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// The files of a set.
const (
	caCert    = "ca.pem"
	caKeyFile = "ca.key"
	nodeCert  = "node.pem"
	nodeKey   = "node.key"
)

// names are all files of a set, sorted.
var names = [...]string{caKeyFile, caCert, nodeKey, nodeCert}

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
	others   fs.FileMode = 0o077
)

type file struct {
	name string
	text []byte
}

// stage is where a new set is built: on the same file system as dir.
func stage(dir string) string { return filepath.Clean(dir) + ".new" }

// beginStage makes an empty stage; one that an interrupted command has left is
// cleared.
func beginStage(dir string) error {
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return fmt.Errorf("making the directory for keys: %w", err)
	}
	if err := clearStage(stage(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(stage(dir), dirMode); err != nil {
		return fmt.Errorf("making the directory for new keys: %w", err)
	}
	return nil
}

// clearStage removes what a stage may hold, and nothing else.
func clearStage(at string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(at, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing unfinished keys: %w", err)
		}
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing unfinished keys: %w", err)
	}
	return nil
}

// finishStage adds the files to the stage, checks that the whole is a good set
// for host, moves aside what is in dir, and puts the stage into its place.
func finishStage(dir, host string, files []file) error {
	at := stage(dir)
	if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no request is under way for %s", ErrFormat, dir)
	}
	for _, name := range names { // an earlier Install may have failed half-way
		if name == nodeKey {
			continue // made by the request
		}
		if err := os.Remove(filepath.Join(at, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("installing keys: %w", err)
		}
	}
	for _, f := range files {
		if err := writeFile(at, f); err != nil {
			return err
		}
	}
	id, err := Load(at)
	if err != nil {
		return fmt.Errorf("the new keys: %w", err)
	}
	if id.Host != host {
		return fmt.Errorf("%w: a certificate for %q, not %q", ErrIdentity, id.Host, host)
	}
	if _, err := readCAKey(at, id.ca); err != nil && !errors.Is(err, ErrNoCAKey) {
		return fmt.Errorf("the new keys: %w", err)
	}
	if err := syncDir(at); err != nil {
		return err
	}
	if err := moveAside(dir); err != nil {
		return err
	}
	if err := os.Rename(at, filepath.Clean(dir)); err != nil {
		return fmt.Errorf("installing keys: %w", err)
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

// moveAside makes room for a new set: an empty directory is removed, any other
// is renamed to DIR.UUID.N.
func moveAside(dir string) error {
	dir = filepath.Clean(dir)
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for old keys: %w", err)
	}
	if len(list) == 0 {
		if err := os.Remove(dir); err != nil {
			return fmt.Errorf("making room for keys: %w", err)
		}
		return nil
	}
	cluster, err := clusterOf(dir)
	if err != nil {
		cluster = "unknown"
	}
	for n := 1; ; n++ {
		to := dir + "." + cluster + "." + strconv.Itoa(n)
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(dir, to); err != nil {
				return fmt.Errorf("moving old keys aside: %w", err)
			}
			return nil
		} else if err != nil {
			return fmt.Errorf("moving old keys aside: %w", err)
		}
	}
}

// clusterOf returns the uuid of the cluster that the keys in dir belong to.
func clusterOf(dir string) (string, error) {
	text, err := readFile(dir, caCert)
	if err != nil {
		return "", err
	}
	ca, err := decodeCert(text)
	if err != nil {
		return "", err
	}
	cluster, _, err := identityOf(ca)
	return cluster, err
}

// writeFile makes a new file, durably.
func writeFile(dir string, f file) error {
	out, err := os.OpenFile(filepath.Join(dir, f.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.name, err)
	}
	_, err = out.Write(f.text)
	if err == nil {
		err = out.Sync()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.name, err)
	}
	return nil
}

// readFile reads a file of a set: a regular one that only its owner can reach.
func readFile(dir, name string) ([]byte, error) {
	in, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrFormat, name)
	}
	if st.Mode()&others != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o, expected %04o", ErrMode, filepath.Join(dir, name), st.Mode().Perm(), fileMode)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPEM+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return text, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the directory of keys: %w", err)
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("syncing the directory of keys: %w", err)
	}
	return nil
}
