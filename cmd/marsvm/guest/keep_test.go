// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// keep is the program that keeps the name spaces of a host: it makes them look
// like one, says so, and stays until its standard input ends. The arguments are
// the disk of /mars, which has a file system.
func keep(name string, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the disk of /mars, got %q", args)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return err
	}
	if err := unix.Mount(args[0], "/mars", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s on /mars: %w", args[0], err)
	}
	for _, dir := range privateDirs {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=16m"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// privateDirs are made once for all and covered in each host.
var privateDirs = [...]string{"/run/mars", "/dev/mars", "/etc/mars"}
