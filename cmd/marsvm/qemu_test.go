package main

import (
	"slices"
	"strings"
	"testing"
)

func TestExtraDevices(t *testing.T) {
	o := &options{cpus: 2, mem: "768M", logged: []transfer{{"/a,b", "/log"}}, nets: []transfer{{"/own", "/other"}}}
	args := qemuArgs(o, emulator{major: 7}, kernel{image: "/k"}, []string{"/first"})
	for _, want := range []string{
		"file=/first,if=none,id=disk0,format=raw,cache=unsafe,discard=unmap",
		"driver=raw,node-name=data1,file.driver=file,file.filename=/a,,b,cache.no-flush=on,discard=unmap",
		"driver=blklogwrites,node-name=disk1,file=data1,log=log1,log-sector-size=512",
		"virtio-blk-pci,drive=disk1,serial=disk1",
		"dgram,id=net0,local.type=unix,local.path=/own,remote.type=unix,remote.path=/other",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("no %q in %q", want, args)
		}
	}
}

// The ends of a wire, and the wires of a guest, have addresses of their own.
func TestWireMAC(t *testing.T) {
	seen := map[string]bool{}
	for _, end := range []string{"/tmp/A", "/tmp/B"} {
		for i := range 2 {
			mac := wireMAC(end, i)
			if seen[mac] || !strings.HasPrefix(mac, "52:54:") || len(mac) != 17 {
				t.Errorf("address %q", mac)
			}
			seen[mac] = true
		}
	}
}

func TestVirtioDriver(t *testing.T) {
	for alias, want := range map[string]string{"virtio:d00000001v00001AF4": "virtio_net", "virtio:d00000002v00001AF4": "virtio_blk", "virtio:d00000003v00001AF4": ""} {
		if got, ok := virtioDriver(alias); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", alias, got, ok)
		}
	}
}
