// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A stamp is what the kernel keeps with a device: 8 bits that say that it is
// ours, 20 of a digest of the owner, 36 of one of the name. Two names of one owner
// must never have the same: one device would be taken for the other. Of 1000 names
// two do with a probability of 1 to 100,000.
const (
	stampMagic = 0x6d
	ownerBits  = 20
	nameBits   = 36
)

func digest(text string, bits int) uint64 {
	d := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(d[:]) >> (64 - bits)
}

// stampOf is the stamp of a device.
func stampOf(owner, name string) uint64 { return ownerStamp(owner)<<nameBits | digest(name, nameBits) }

// ownerStamp is the part of a stamp that all devices of an owner have.
func ownerStamp(owner string) uint64 { return stampMagic<<ownerBits | digest(owner, ownerBits) }

// note is what is kept on disk of a device: RUN_DIR/ublk/NAME.
type note struct {
	ID    uint32 `json:"id"`
	Stamp string `json:"stamp"` // hexadecimal
}

func notePath(runDir, name string) string { return filepath.Join(runDir, "ublk", name) }

func writeNote(runDir, name string, id uint32, stamp uint64) error {
	text, err := json.Marshal(note{ID: id, Stamp: strconv.FormatUint(stamp, 16)})
	if err != nil {
		return err
	}
	path := notePath(runDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+name+".tmp")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func removeNote(runDir, name string) error {
	if err := os.Remove(notePath(runDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readNotes returns the names by stamp. A note that can not be read is skipped:
// its device has its stamp nevertheless.
func readNotes(runDir string) (map[uint64]string, error) {
	list, err := os.ReadDir(filepath.Join(runDir, "ublk"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("notes of devices: %w", err)
	}
	names := map[uint64]string{}
	for _, e := range list {
		var n note
		text, err := os.ReadFile(notePath(runDir, e.Name()))
		if err != nil || e.Name()[0] == '.' || json.Unmarshal(text, &n) != nil {
			continue
		}
		if stamp, err := strconv.ParseUint(n.Stamp, 16, 64); err == nil && stamp>>(ownerBits+nameBits) == stampMagic {
			names[stamp] = e.Name()
		}
	}
	return names, nil
}
