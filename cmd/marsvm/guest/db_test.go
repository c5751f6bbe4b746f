// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// database is a real one: what makes a client of it, and what differs in words.
type database interface {
	// open starts it on a directory, recovering what is there, and returns a
	// client: a program that reads SQL and prints lines.
	open(dir string) (*exec.Cmd, error)
	// kill ends what open has started beside the client, without any warning.
	kill() error
	// words are the schema, what makes the text of row n, and the check of all
	// structures, which answers "ok".
	words() (schema, text, check string)
}

// sqlite is SQLite's own program: the client is the database.
type sqlite struct{ journal string }

func (d sqlite) open(dir string) (*exec.Cmd, error) {
	return exec.Command("sqlite3", "-batch", "-bail", "-cmd", "PRAGMA journal_mode="+d.journal, "-cmd", "PRAGMA synchronous=EXTRA",
		filepath.Join(dir, d.journal+".db")), nil
}

func (d sqlite) kill() error { return nil }

func (d sqlite) words() (schema, text, check string) {
	return "", "printf('%0300d', n)", "PRAGMA integrity_check;"
}

// accounts is how many there are; what they hold together never changes.
const accounts = 10

// ledgerPause comes behind each transaction: what is to happen meanwhile needs the
// machine as well.
const ledgerPause = 200 * time.Millisecond

// ledger is an application of a database: each transaction adds the next row,
// and moves something from one account to another one.
type ledger struct {
	db     database
	client *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	acked  int
}

// begin opens the database in a directory; a new one gets its tables.
func (g *ledger) begin(dir string) error {
	var err error
	if g.client, err = g.db.open(dir); err != nil {
		return err
	}
	if g.in, err = g.client.StdinPipe(); err != nil {
		return err
	}
	out, err := g.client.StdoutPipe()
	if err != nil {
		return err
	}
	g.client.Stderr = g.client.Stdout
	g.out = bufio.NewReader(out)
	if err := g.client.Start(); err != nil {
		return err
	}
	schema, _, _ := g.db.words()
	sql := schema + "BEGIN;CREATE TABLE IF NOT EXISTS ledger(n INTEGER PRIMARY KEY, data TEXT NOT NULL);" +
		"CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
	for i := range accounts {
		sql += fmt.Sprintf("INSERT INTO account VALUES(%d, 100) ON CONFLICT DO NOTHING;", i)
	}
	_, err = g.ask(sql + "COMMIT;")
	return err
}

// ask sends statements and returns what they answer.
func (g *ledger) ask(sql string) (string, error) {
	const end = "the end of the answer"
	if _, err := io.WriteString(g.in, sql+"\nSELECT '"+end+"';\n"); err != nil {
		return "", fmt.Errorf("statement %.60q: %w", sql, err)
	}
	answer := ""
	for {
		line, err := g.out.ReadString('\n')
		switch {
		case err != nil:
			return answer, fmt.Errorf("statement %.60q: %w; it said %q", sql, err, answer)
		case strings.TrimSpace(line) == end:
			return strings.TrimSpace(answer), nil
		}
		answer += line
	}
}

// round commits one transaction.
func (g *ledger) round(int) error {
	_, text, _ := g.db.words()
	n := g.acked + 1
	answer, err := g.ask(fmt.Sprintf("BEGIN; INSERT INTO ledger SELECT n, %s FROM (SELECT %d AS n) AS one;"+
		"UPDATE account SET balance = balance - 1 WHERE id = %d; UPDATE account SET balance = balance + 1 WHERE id = %d; COMMIT;",
		text, n, n%accounts, (n*7+1)%accounts))
	if err == nil && answer != "" {
		err = fmt.Errorf("transaction %d: the database says %q", n, answer)
	}
	if err != nil {
		return err
	}
	g.acked = n
	<-time.After(ledgerPause)
	return nil
}

// kill ends the database and its client without any warning.
func (g *ledger) kill() error {
	err := errors.Join(g.client.Process.Kill(), g.db.kill())
	g.client.Wait() // with an error, since it was killed
	return err
}

// end lets the client end by itself, and the database with it.
func (g *ledger) end() error {
	return errors.Join(g.in.Close(), g.client.Wait(), g.db.kill())
}

// audit checks everything, and returns how many transactions are there: the
// first ones, without a gap.
func (g *ledger) audit() (int, error) {
	_, text, check := g.db.words()
	ok, err := g.ask(check)
	if err != nil {
		return 0, err
	}
	if ok != "ok" {
		return 0, fmt.Errorf("the database says of itself: %q, want ok", ok)
	}
	answer, err := g.ask("SELECT count(*) || ' ' || coalesce(max(n), 0) || ' ' || coalesce(sum(CASE WHEN data = " + text +
		" THEN 0 ELSE 1 END), 0) || ' ' || (SELECT sum(balance) FROM account) FROM ledger;")
	if err != nil {
		return 0, err
	}
	var rows, last, wrong, sum int
	if _, err := fmt.Sscan(answer, &rows, &last, &wrong, &sum); err != nil {
		return 0, fmt.Errorf("answer %q: %w", answer, err)
	}
	if rows != last || wrong != 0 || sum != accounts*100 {
		return last, fmt.Errorf("%d transactions up to number %d, %d wrong texts, %d in all accounts, want %d", rows, last, wrong, sum, accounts*100)
	}
	return last, nil
}

// bank is a stage of two hosts with databases in a file system of A.
type bank struct {
	*stage
	a, b    *host
	dev     string
	ledgers []*ledger
}

// dbDirs are where the file systems are mounted: at A, at B, of a snapshot.
var dbDirs = [...]string{"/run/db-a", "/run/db-b", "/run/db-snapshot"}

// newBank makes the databases on a bare disk, which then becomes a resource with
// what is on it, as a disk in use does.
func newBank(t *testing.T, dbs ...database) *bank {
	t.Helper()
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
	w := &bank{stage: s, a: s.hosts[0], b: s.hosts[1]}
	for _, dir := range dbDirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.must("mkfs.ext4", "-q", "-F", w.a.disk)
	s.must("mount", "-t", "ext4", w.a.disk, dbDirs[0])
	for _, db := range dbs {
		w.ledgers = append(w.ledgers, &ledger{db: db})
	}
	w.each(func(g *ledger) error { return g.begin(dbDirs[0]) })
	w.each((*ledger).end)
	s.must("umount", dbDirs[0])
	s.resource("db", w.a.disk, w.b.disk)
	w.dev = w.a.device("db")
	s.must("mount", "-t", "ext4", w.dev, dbDirs[0])
	w.reopen(dbDirs[0])
	return w
}

// each does something with all databases.
func (w *bank) each(do func(*ledger) error) {
	w.t.Helper()
	for _, g := range w.ledgers {
		if err := do(g); err != nil {
			w.t.Fatal(err)
		}
	}
}

// acked is how many transactions were acknowledged.
func (w *bank) acked() (n int) {
	for _, g := range w.ledgers {
		n += g.acked
	}
	return n
}

// work lets all databases commit for a while; meanwhile something may happen,
// after which they commit as much again.
func (w *bank) work(transactions int, meanwhile func()) {
	w.t.Helper()
	loads := make([]load, len(w.ledgers))
	for i, g := range w.ledgers {
		loads[i].run(g.round)
	}
	w.transact(loads, transactions)
	if meanwhile != nil {
		meanwhile()
		w.transact(loads, transactions)
	}
	for i := range loads {
		loads[i].finish(w.t)
	}
}

// transact waits until each database has committed some more transactions.
func (w *bank) transact(loads []load, transactions int) {
	w.t.Helper()
	for i := range loads {
		l := &loads[i]
		goal := l.rounds.Load() + int64(transactions)
		w.await(itoa(transactions)+" transactions", func() string {
			if err := l.err(); err != nil {
				return hopeless + err.Error()
			}
			if n := l.rounds.Load(); n < goal {
				return itoa(n)
			}
			return ""
		})
	}
}

// reopen starts the databases anew, which recover; all that was acknowledged
// must be there, and at most the transaction at hand besides.
func (w *bank) reopen(dir string) {
	w.t.Helper()
	w.each(func(g *ledger) error {
		if err := g.begin(dir); err != nil {
			return err
		}
		n, err := g.audit()
		if err != nil {
			return fmt.Errorf("%s, after transaction %d: %w", dir, g.acked, err)
		}
		if n < g.acked || n > g.acked+1 {
			return fmt.Errorf("%s: there are %d transactions, %d were acknowledged", dir, n, g.acked)
		}
		g.acked = n
		return nil
	})
}

// snapshot starts the databases of the secondary, paused under load, from a copy
// of its disk: each must be one of the past.
func (w *bank) snapshot(transactions int) (at int) {
	w.t.Helper()
	w.work(transactions, func() { w.b.freeze("db") })
	w.must("cp", w.b.disk, "/dev/vde")
	w.b.ok("resume-replay", "db")
	w.must("mount", "-t", "ext4", "/dev/vde", dbDirs[2])
	w.each((*ledger).end)
	w.each(func(g *ledger) error {
		old := &ledger{db: g.db}
		if err := old.begin(dbDirs[2]); err != nil {
			return err
		}
		n, err := old.audit()
		if err != nil {
			return fmt.Errorf("the database of the paused secondary: %w", err)
		}
		if n > g.acked {
			return fmt.Errorf("the secondary has %d transactions, %d were acknowledged", n, g.acked)
		}
		at += n
		w.control(old)
		return old.end()
	})
	w.must("umount", dbDirs[2])
	w.reopen(dbDirs[0])
	return at
}

// control spoils a copy of a database as a lost transaction would.
func (w *bank) control(g *ledger) {
	w.t.Helper()
	for _, spoil := range []string{"DELETE FROM ledger WHERE n = 7;", "UPDATE account SET balance = balance - 1 WHERE id = 3;"} {
		if _, err := g.ask("BEGIN;" + spoil); err != nil {
			w.t.Fatal(err)
		}
		if _, err := g.audit(); err == nil {
			w.t.Errorf("%s: the audit did not notice", spoil)
		}
		if _, err := g.ask("ROLLBACK;"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// failover: the database and the daemon of A are killed, B takes over by force.
// B has got everything before, so nothing that was acknowledged may be missing.
func (w *bank) failover() {
	w.t.Helper()
	w.work(dbWork, nil)
	w.each((*ledger).kill)
	w.b.awaitUpToDate("db")
	w.a.kill()
	w.b.ok("primary", "db", "--force")
	dev := w.b.device("db")
	w.must("mount", "-t", "ext4", dev, dbDirs[1])
	w.reopen(dbDirs[1])
	w.work(dbWork, nil)
	w.each((*ledger).end)
	w.must("umount", dbDirs[1])
	w.must("e2fsck", "-fn", dev)
	w.dmesgClean()
	// A comes back with its file system mounted; since B is primary, its old
	// device is taken from under it, of which the kernel speaks. Its version is
	// the one that is destroyed.
	w.a.start()
	w.must("umount", dbDirs[0])
	w.await("A to be secondary", func() string {
		if text := w.a.status("db"); !strings.Contains(text, "host      A is secondary") {
			return text
		}
		return ""
	})
	w.a.ok("invalidate", "db")
	w.a.awaitUpToDate("db")
}

// dbWork is how many transactions each database commits between two events, at
// least.
const dbWork = 8

// throughAll is the life of databases: crashes of them and of the daemon below, a
// snapshot of the secondary, a failover.
func throughAll(t *testing.T, name string, size int64, dbs ...database) {
	t.Helper()
	w := newBank(t, dbs...)
	progress("there are databases")
	at, acked, crashes := 0, 0, 0
	for range rounds(t) {
		w.work(dbWork, func() { w.a.kill(); w.a.start() })
		progress("the daemon was killed")
		w.each((*ledger).kill)
		w.reopen(dbDirs[0])
		crashes += 2
		progress("the databases were killed")
		at = w.snapshot(dbWork)
		acked = w.acked()
		progress("%d transactions, the paused secondary had %d", acked, at)
	}
	w.failover()
	progress("B has taken over")
	w.a.stop()
	w.b.stop()
	equalAndControl(w.stage, "/dev/vdb", "/dev/vdd", size)
	w.must("dmesg", "-C")
	w.nothingLeft()
	result(t, "db", "%s: %d transactions; all acknowledged ones after %d crashes and a failover, %d of %d at a paused secondary", name, w.acked(), crashes, at, acked)
}

// What the disks have.
const (
	sqliteSize   = 16 << 20
	postgresSize = 24 << 20
)

// TestSQLite: SQLite, with both of its ways to commit side by side.
func TestSQLite(t *testing.T) {
	if !inGuest(t, "db") {
		return
	}
	throughAll(t, "SQLite, WAL and DELETE", sqliteSize, sqlite{"WAL"}, sqlite{"DELETE"})
}
