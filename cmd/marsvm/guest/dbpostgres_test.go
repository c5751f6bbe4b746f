// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// postgresBin is where marsvm's cache has put the programs.
const postgresBin = "/opt/pg/lib/postgresql/*/bin"

// nobody runs the server, which refuses to be root.
const nobody = 65534

// postgres is PostgreSQL with a server, checksums of all pages and fsync on; the
// client is psql.
type postgres struct {
	bin    string
	server *exec.Cmd
	wait   func(what string, look func() string)
}

// program is one of its programs, run by nobody in a process group of its own.
func (d *postgres) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(d.bin, name), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c client_min_messages=warning", "LC_ALL=C", "HOME=/tmp")
	return cmd
}

func (d *postgres) open(dir string) (*exec.Cmd, error) {
	data := filepath.Join(dir, "pg")
	if _, err := os.Stat(data); err != nil {
		if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody)); err != nil {
			return nil, err
		}
		init := d.program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "--data-checksums", "--no-instructions",
			"--wal-segsize=1", "--no-sync") // it is no transaction: what it has made is synced below
		if out, err := init.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w\n%s", err, out)
		}
		unix.Sync()
	}
	d.server = d.program("postgres", "-D", data, "-k", data, "-c", "listen_addresses=", "-c", "fsync=on", "-c", "shared_buffers=16MB",
		"-c", "max_connections=10", "-c", "autovacuum=off", "-c", "checkpoint_timeout=30s", "-c", "min_wal_size=2MB", "-c", "max_wal_size=6MB",
		"-c", "logging_collector=off")
	log, err := os.OpenFile(filepath.Join("/tmp", filepath.Base(dir)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	d.server.Stdout, d.server.Stderr = log, log
	if err := errors.Join(d.server.Start(), log.Close()); err != nil {
		return nil, err
	}
	psql := []string{"-qAtX", "-v", "ON_ERROR_STOP=1", "-h", data, "-U", "postgres", "postgres"}
	d.wait("PostgreSQL to answer", func() string {
		out, err := d.program("psql", append([]string{"-c", "SELECT 1"}, psql...)...).CombinedOutput()
		if err != nil {
			return string(out)
		}
		return ""
	})
	return d.program("psql", psql...), nil
}

// kill ends all processes of the server, and is sure of it: none may keep the
// file system busy. They have sessions of their own, so they are told by their
// program; one that is dead, but not buried, has none.
func (d *postgres) kill() error {
	var failed error
	first := true
	d.wait("PostgreSQL to be dead", func() string {
		left := 0
		exes, err := filepath.Glob("/proc/[0-9]*/exe")
		if err != nil {
			return hopeless + err.Error()
		}
		for _, exe := range exes {
			if target, err := os.Readlink(exe); err != nil || target != filepath.Join(d.bin, "postgres") {
				continue
			}
			left++
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			if err == nil {
				err = syscall.Kill(pid, syscall.SIGKILL)
			}
			if err != nil && !errors.Is(err, syscall.ESRCH) {
				failed = errors.Join(failed, err)
			}
		}
		if first {
			first = false
			d.server.Wait() // with an error, since it was killed
		}
		if left > 0 {
			return itoa(left) + " processes"
		}
		return ""
	})
	return failed
}

func (d *postgres) words() (schema, text, check string) {
	return "CREATE EXTENSION IF NOT EXISTS amcheck;", "lpad(n::text, 300, '0')",
		"SELECT CASE WHEN count(bt_index_check(indexrelid, true)) >= 0 THEN 'ok' END FROM pg_index WHERE indrelid IN ('ledger'::regclass, 'account'::regclass);"
}

// TestPostgres: PostgreSQL.
func TestPostgres(t *testing.T) {
	if !inGuest(t, "postgres") {
		return
	}
	found, err := filepath.Glob(postgresBin)
	if err != nil || len(found) != 1 {
		t.Fatalf("PostgreSQL is not here: %q, %v", found, err)
	}
	s := &stage{t: t}
	throughAll(t, "PostgreSQL", postgresSize, &postgres{bin: found[0], wait: s.await})
}
