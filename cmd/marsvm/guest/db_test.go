// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// database is a real one: what makes a client of it, and what differs in words.
type database interface {
	// open starts it on a directory, recovering what is there, and returns a
	// client: a program that reads SQL and prints lines.
	open(dir string) (*exec.Cmd, error)
	// kill ends what open has started beside the client, without any warning.
	kill() error
	// words are the schema, what makes the text of row n, which begins with the
	// mark, and the check of all structures, which answers "ok".
	words() (schema, text, check string)
	// mark is in no other database's rows.
	mark() string
	// durability asks for what a commit means, and answer is what must be said.
	durability() (sql, answer string)
}

// sqlite is SQLite's own program: the client is the database.
type sqlite struct{ journal string }

func (d sqlite) open(dir string) (*exec.Cmd, error) {
	return exec.Command("sqlite3", "-batch", "-bail", "-cmd", "PRAGMA journal_mode="+d.journal, "-cmd", "PRAGMA synchronous=EXTRA",
		filepath.Join(dir, d.journal+".db")), nil
}

func (d sqlite) kill() error { return nil }

func (d sqlite) words() (schema, text, check string) {
	return "", "'" + d.mark() + "' || printf('%0300d', n)", "PRAGMA integrity_check;"
}

func (d sqlite) mark() string { return "<" + d.journal + ">" }

func (d sqlite) durability() (sql, answer string) {
	return "PRAGMA journal_mode; PRAGMA synchronous;", strings.ToLower(d.journal) + "\n3" // EXTRA
}

// accounts is how many there are; what each holds is known from the number of transactions.
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
	if _, err = g.ask(sql + "COMMIT;"); err != nil {
		return err
	}
	sql, want := g.db.durability()
	said, err := g.ask(sql)
	if err == nil && said != want {
		err = fmt.Errorf("%s answers %q, want %q: its commits would say nothing", sql, said, want)
	}
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
	from, to := moves(n)
	answer, err := g.ask(fmt.Sprintf("BEGIN; INSERT INTO ledger SELECT n, %s FROM (SELECT %d AS n) AS one;"+
		"UPDATE account SET balance = balance - 1 WHERE id = %d; UPDATE account SET balance = balance + 1 WHERE id = %d; COMMIT;",
		text, n, from, to))
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
		" THEN 0 ELSE 1 END), 0) FROM ledger;")
	if err != nil {
		return 0, err
	}
	var rows, last, wrong int
	if _, err := fmt.Sscan(answer, &rows, &last, &wrong); err != nil {
		return 0, fmt.Errorf("answer %q: %w", answer, err)
	}
	if rows != last || wrong != 0 {
		return last, fmt.Errorf("%d transactions up to number %d, %d wrong texts", rows, last, wrong)
	}
	held, err := g.ask("SELECT id || ' ' || balance FROM account ORDER BY id;")
	if err != nil {
		return last, err
	}
	if want := balances(last); held != want {
		return last, fmt.Errorf("after %d transactions the accounts hold %q, want %q", last, held, want)
	}
	return last, nil
}

// moves are the accounts that transaction n takes from and gives to.
func moves(n int) (from, to int) { return n % accounts, (n*7 + 1) % accounts }

// balances is what all accounts hold after so many transactions: each one, for a
// page that is lost takes and gives as well, such that the sum is right.
func balances(transactions int) string {
	var held [accounts]int
	for n := 1; n <= transactions; n++ {
		from, to := moves(n)
		held[from]--
		held[to]++
	}
	var lines []string
	for id, more := range held {
		lines = append(lines, fmt.Sprintf("%d %d", id, 100+more))
	}
	return strings.Join(lines, "\n")
}

// bank is a stage of two hosts with databases in a file system of A.
type bank struct {
	*stage
	a, b    *host
	dev     string
	ledgers []*ledger
	size    int64 // of the disks
}

// dbDirs are where the file systems are mounted: at A, at B, of a snapshot.
var dbDirs = [...]string{"/run/db-a", "/run/db-b", "/run/db-snapshot"}

// newBank makes the databases on a bare disk, which then becomes a resource with
// what is on it, as a disk in use does.
func newBank(t *testing.T, size int64, dbs ...database) *bank {
	t.Helper()
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
	w := &bank{stage: s, a: s.hosts[0], b: s.hosts[1], size: size}
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
// of its disk: each must be one of the past, and of no older one than is on that
// disk. What is of a transaction there was written when those before it were
// acknowledged.
func (w *bank) snapshot(transactions int) (at int) {
	w.t.Helper()
	began := make([]int, len(w.ledgers))
	for i, g := range w.ledgers {
		began[i] = g.acked
	}
	var image []byte
	w.work(transactions, func() {
		w.await("B to have what is being written", func() string {
			image = readDisk(w.t, w.b.disk, w.size)
			for i, g := range w.ledgers {
				if n := written(image, g.db.mark()); n <= began[i]+1 {
					return fmt.Sprintf("it has transaction %d, there were %d", n, began[i])
				}
			}
			return ""
		})
		w.b.freeze("db")
	})
	image = readDisk(w.t, w.b.disk, w.size)
	writeDisk(w.t, "/dev/vde", image)
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
		if seen := written(image, g.db.mark()); n > g.acked || n < seen-1 {
			return fmt.Errorf("the secondary has %d transactions of %d that were acknowledged, its disk holds a part of number %d", n, g.acked, seen)
		}
		at += n
		w.control(old)
		return old.end()
	})
	w.must("umount", dbDirs[2])
	w.reopen(dbDirs[0])
	return at
}

// digits is how many a row's number has.
const digits = 300

// written is the newest transaction of which a disk holds a row, committed or not.
func written(image []byte, mark string) (newest int) {
	for {
		i := bytes.Index(image, []byte(mark+"0000"))
		if i < 0 || len(image) < i+len(mark)+digits {
			return newest
		}
		image = image[i+len(mark):]
		if n, err := strconv.Atoi(string(image[:digits])); err == nil { // else it is no whole row
			newest = max(newest, n)
		}
	}
}

// readDisk reads a disk past the page cache, which knows nothing of what daemons
// write below it.
func readDisk(t *testing.T, path string, size int64) []byte {
	t.Helper()
	d := openDev(t, path)
	defer d.close(t)
	image, buf := make([]byte, size), alignedBuf(t, 1<<20)
	for at := int64(0); at < size; at += int64(len(buf)) {
		if err := d.read(buf, at); err != nil {
			t.Fatal(err)
		}
		copy(image[at:], buf)
	}
	if err := unix.Munmap(buf); err != nil {
		t.Fatal(err)
	}
	return image
}

// writeDisk writes one.
func writeDisk(t *testing.T, path string, image []byte) {
	t.Helper()
	d := openDev(t, path)
	defer d.close(t)
	buf := alignedBuf(t, 1<<20)
	for at := 0; at < len(image); at += len(buf) {
		copy(buf, image[at:])
		if err := d.write(buf, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.flush(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Munmap(buf); err != nil {
		t.Fatal(err)
	}
}

// control spoils a copy of a database as a lost transaction would.
func (w *bank) control(g *ledger) {
	w.t.Helper()
	for _, spoil := range []string{"DELETE FROM ledger WHERE n = 7;", "UPDATE account SET balance = balance - 1 WHERE id = 3;",
		"UPDATE account SET balance = balance + CASE id WHEN 3 THEN 1 ELSE -1 END WHERE id IN (3, 4);"} {
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
	w := newBank(t, size, dbs...)
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

// TestWritten is the control of what is looked for on disks.
func TestWritten(t *testing.T) {
	row := func(mark string, n int) string { return mark + fmt.Sprintf("%0*d", digits, n) }
	for _, c := range []struct {
		image string
		want  int
	}{
		{"", 0},
		{"<A>", 0},
		{"x" + row("<A>", 7) + row("<A>", 12) + "y" + row("<B>", 99), 12},
		{row("<A>", 9)[:150] + row("<A>", 3), 3}, // torn
		{row("<A>", 9)[:150], 0},
	} {
		if got := written([]byte(c.image), "<A>"); got != c.want {
			t.Errorf("written(%.20q) = %d, want %d", c.image, got, c.want)
		}
	}
	if got, want := balances(2), "0 100\n1 99\n2 99\n3 100\n4 100\n5 101\n6 100\n7 100\n8 101\n9 100"; got != want {
		t.Errorf("balances(2) = %q, want %q", got, want)
	}
}
