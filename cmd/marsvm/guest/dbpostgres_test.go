// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// postgresBin is where marsvm's cache has put the programs.
const postgresBin = "/opt/pg/lib/postgresql/*/bin"

// postgresName is the one database; it has what initdb puts into each.
const postgresName = "template1"

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

// create makes a cluster of databases as small as can be, in memory, and copies
// it. It is no transaction: its copy alone is synced.
func (d *postgres) create(data string) error {
	temp, err := os.MkdirTemp("", "pg")
	if err != nil {
		return err
	}
	if err := os.Chown(temp, nobody, nobody); err != nil {
		return err
	}
	slim := d.program("postgres", "--single", "-D", temp, "-c", "fsync=off", postgresName)
	slim.Stdin = strings.NewReader("UPDATE pg_database SET datistemplate = false;\nDROP DATABASE template0;\nDROP DATABASE postgres;\n")
	for _, cmd := range []*exec.Cmd{
		d.program("initdb", "-D", temp, "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "--data-checksums",
			"--no-instructions", "--wal-segsize=1", "--no-sync"),
		slim,
		exec.Command("cp", "-a", temp, data),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd.Path, err, out)
		}
	}
	unix.Sync()
	return os.RemoveAll(temp)
}

func (d *postgres) open(dir string) (*exec.Cmd, error) {
	data := filepath.Join(dir, "pg")
	if _, err := os.Stat(data); err != nil {
		if err := d.create(data); err != nil {
			return nil, err
		}
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
	psql := []string{"-qAtX", "-v", "ON_ERROR_STOP=1", "-h", data, "-U", "postgres", postgresName}
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
	return "CREATE EXTENSION IF NOT EXISTS amcheck;", "'" + d.mark() + "' || lpad(n::text, 300, '0')",
		"SELECT CASE WHEN count(bt_index_check(indexrelid, true)) >= 0 THEN 'ok' END FROM pg_index WHERE indrelid IN ('ledger'::regclass, 'account'::regclass);"
}

func (d *postgres) mark() string { return "<PG>" }

func (d *postgres) durability() (sql, answer string) {
	return "SHOW fsync; SHOW synchronous_commit; SHOW full_page_writes; SHOW data_checksums;", "on\non\non\non"
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
