package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// postgresDir holds PostgreSQL in the cache, as it lies below /usr; it is not
// installed, since its package makes a cluster and starts a service.
const postgresDir = "postgresql"

// postgresParts are what a database needs, below /usr; %s is the version.
var postgresParts = [...]string{
	"lib/postgresql/%s/bin/initdb", "lib/postgresql/%s/bin/postgres", "lib/postgresql/%s/bin/psql",
	"lib/postgresql/%s/lib/plpgsql.so", "lib/postgresql/%s/lib/dict_snowball.so", "lib/postgresql/%s/lib/amcheck.so",
	"share/postgresql/%s",
}

// fetchPostgres downloads PostgreSQL and unpacks the parts that matter. The
// libraries it wants are installed: they do nothing by themselves.
func (p *private) fetchPostgres(cache string) error {
	if err := p.use(""); err != nil {
		return err
	}
	depends, err := output("apt-cache", append(p.options(), "depends", "postgresql")...)
	if err != nil {
		return err
	}
	server := dependencies(depends, "postgresql-")
	if len(server) != 1 {
		return fmt.Errorf("package postgresql depends on %q, want one server", server)
	}
	version := strings.TrimPrefix(server[0], "postgresql-")
	if depends, err = output("apt-cache", append(p.options(), "depends", server[0])...); err != nil {
		return err
	}
	libs := append([]string{"install", "-y", "-qq", "--no-install-recommends", "--no-upgrade"}, dependencies(depends, "lib")...)
	if os.Getuid() != 0 {
		return errors.New("the libraries of PostgreSQL can not be installed without root")
	}
	if _, err := output("apt-get", libs...); err != nil {
		return err
	}
	done := filepath.Join(p.dir, "postgresql")
	for _, name := range []string{server[0], "postgresql-client-" + version} {
		root, err := p.unpack(name)
		if err != nil {
			return err
		}
		for _, part := range postgresParts {
			part = fmt.Sprintf(part, version)
			from, to := filepath.Join(root, "usr", part), filepath.Join(done, part)
			if _, err := os.Stat(to); err == nil {
				continue // the client has manual pages only
			}
			if _, err := os.Stat(from); err != nil {
				continue // in the other package
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(from, to)); err != nil {
				return err
			}
		}
	}
	for _, part := range postgresParts {
		if _, err := os.Stat(filepath.Join(done, fmt.Sprintf(part, version))); err != nil {
			return fmt.Errorf("PostgreSQL is not complete: %w", err)
		}
	}
	return replace(done, filepath.Join(cache, postgresDir))
}

// dependencies returns the packages of an answer of "apt-cache depends" whose
// names have a prefix; alternatives are left out.
func dependencies(text, prefix string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "  Depends: "+prefix); ok {
			found = append(found, prefix+strings.TrimSpace(name))
		}
	}
	return found
}
