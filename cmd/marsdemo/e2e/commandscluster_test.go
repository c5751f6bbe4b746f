// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
)

// createCluster: the directory must be there and empty, no marsd must run, and
// once is enough (manual 3.1).
func (v *tour) createCluster() {
	a := v.a
	v.refuses(a,
		refusal{"create-cluster here", "surplus argument 'here'", usageHint},
		refusal{"attach mydata", "No valid cluster UUID", "{create,join}-cluster"},
		refusal{"wait-cluster", "No valid cluster UUID", "{create,join}-cluster"},
		refusal{"leave-cluster", "No valid cluster UUID", "{create,join}-cluster"},
		refusal{"create-cluster --host=B", "can not be combined with --host", usageHint},
	)
	foreign := a.mars("somebodys-file")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		v.t.Fatal(err)
	}
	v.refuses(a, refusal{"create-cluster", "must be empty, found", "move it away"})
	if err := os.Remove(foreign); err != nil {
		v.t.Fatal(err)
	}
	uuid := a.link("uuid")
	out := v.does(a, "create-cluster")
	if uuid = a.link("uuid"); uuid == "" || out != "New cluster UUID is '"+uuid+"'\n" {
		v.t.Errorf("create-cluster says %q, the link uuid is '%s'", out, uuid)
	}
	if a.link("ips/ip-A") != a.ip || a.link("todo-global/deleted-A") != "1" {
		v.t.Errorf("ip-A is '%s', deleted-A '%s'", a.link("ips/ip-A"), a.link("todo-global/deleted-A"))
	}
	again := refusal{"create-cluster", "cluster is already created, with uuid '" + uuid + "'", "fresh file system"}
	v.refuses(a, again, refusal{"create-cluster --force", again.why, again.hint},
		refusal{"wait-cluster", "no marsd is running on this host", "marsd run"},
		refusal{"leave-cluster", "no marsd is running on this host", "marsd run"},
		refusal{"create-resource mydata /dev/sdx", "no marsd is running on this host", "marsd run"},
	)
	a.start()
	v.refuses(a, again)
}

// joinCluster: over whichever member (manual 3.1).
func (v *tour) joinCluster() {
	v.refuses(v.b,
		refusal{"join-cluster", "argument is missing", usageHint},
		refusal{"join-cluster A C", "surplus argument 'C'", usageHint},
		refusal{"join-cluster a/b", "disallowed characters", usageHint},
		refusal{"join-cluster B", "Cannot join myself", "name another host"},
	)
	v.fails(v.b, "join-cluster Z", "oops, cannot join over host 'Z'", "no such host: Z", "must work without a password")
	uuid := v.a.link("uuid")
	v.does(v.b, "join-cluster A", "Successfully joined cluster, uuid='"+uuid+"'")
	v.refuses(v.b, refusal{"join-cluster A", "cluster is already created", "fresh file system"})
	v.a.awaitLink("ips/ip-B", v.b.ip)
	v.b.start()
	v.does(v.n, "join-cluster B", "Successfully joined cluster, uuid='"+uuid+"'")
	v.n.start()
	v.a.awaitLink("ips/ip-C", v.n.ip)
	v.refuses(v.a, refusal{"enrol", "the request is not understood", "join-cluster"})
	for _, n := range []*node{v.a, v.b, v.n} {
		v.does(n, "wait-cluster", "all 2 peer(s) seem to be alive")
	}
	v.refuses(v.a, refusal{"wait-cluster mydata", "surplus argument 'mydata'", usageHint})
}

// createResource: the disk, the names and the size are checked before anything is
// made (manual 3.2.1).
func (v *tour) createResource() {
	a := v.a
	a.makeDisk(diskSize)
	v.second = map[string]string{"A": a.loop("other.img", diskSize), "B": v.b.loop("other.img", diskSize)}
	disk := "create-resource mydata " + a.disk
	v.refuses(a,
		refusal{"create-resource", "resource argument is missing", usageHint},
		refusal{"create-resource mydata", "argument is missing: marsadm create-resource RES DISK", usageHint},
		refusal{"create-resource all " + a.disk, "you must explicitly name a single new resource", usageHint},
		refusal{"create-resource my/data " + a.disk, "disallowed characters", usageHint},
		refusal{"create-resource mydata loop7", "is not an absolute path", usageHint},
		refusal{"create-resource mydata /dev/no-such-disk", "no such file or directory", "must be a block device"},
		refusal{"create-resource mydata /dev/null", "it is no block device", "must be a block device"},
		refusal{disk + " my/data", "disallowed characters", usageHint},
		refusal{disk + " mydata 8x", "must be a number", usageHint},
		refusal{disk + " mydata 4097k", "is not a multiple of 4k", usageHint},
		refusal{disk + " mydata 9m", "is larger than device size '8388608'", "leave it out"},
		refusal{disk + " mydata 0", "implausible size 0", "leave it out"},
		refusal{disk + " mydata 64k", "implausible size 65536", "leave it out"},
		refusal{disk + " mydata 4m more", "surplus argument 'more'", usageHint},
		refusal{disk + " --host=B", "can not be combined with --host", usageHint},
		refusal{"wait-resource mydata is-device", "resource 'mydata' does not exist", "marsadm show all"},
	)
	a.fill(a.disk, 1, diskSize)
	before := a.sumDisk(a.disk)
	v.does(a, disk, "determined size = 8388608 bytes", "will appear as local device '/dev/mars/mydata'", "successfully created resource 'mydata'")
	v.does(a, "wait-resource mydata is-device")
	if a.sumDisk(a.device()) != before || exclusive(a.disk) == nil {
		v.t.Errorf("the device does not show what was on the disk, or anybody may open the disk: %v", exclusive(a.disk))
	}
	v.does(a, "create-resource other "+v.second["A"]+" odev 4m", "reducing size from 8388608 to 4194304", "'/dev/mars/odev'")
	v.does(a, "wait-resource all is-device", "resource mydata", "resource other")
	for _, l := range [][2]string{{"size", "4194304"}, {"primary", "A"}, {"device-A", otherName}, {"data-A", v.second["A"]}, {"syncstatus-A", "4194304"}, {"todo-A/attach", "1"}} {
		a.awaitLink("resource-other/"+l[0], l[1])
	}
	if f, err := os.Stat(a.path("dev", otherName)); err != nil {
		v.t.Errorf("%v, %v", f, err)
	}
	v.refuses(a,
		refusal{disk, "already exists; hosts 'A' are member of it", "choose another name"},
		refusal{disk + " --force", "already exists; hosts 'A' are member of it", "choose another name"},
		refusal{"create-resource third " + a.disk, "device or resource busy", "must be a block device that nobody else uses"},
	)
	free := a.loop("free.img", 1<<20)
	v.refuses(a, refusal{"create-resource third " + free + " mydata", "already present in joined resource 'mydata'", "another name"})
	v.w = newWriter(a, 0)
	v.w.write(40)
}

// joinResource: what the primary has comes to the disk, whatever was on it
// (manual 3.2.1).
func (v *tour) joinResource() {
	b := v.b
	b.makeDisk(diskSize + 1<<20)
	small := b.loop("small.img", diskSize/2)
	for _, l := range []string{"mydata/size", "mydata/data-A", "other/size", "other/data-A"} {
		b.awaitLink("resource-"+l, v.a.link("resource-"+l))
	}
	v.refuses(b,
		refusal{"join-resource mydata", "argument is missing", usageHint},
		refusal{"join-resource nodata " + b.disk, "resource 'nodata' does not exist", "marsadm show all"},
		refusal{"join-resource all " + b.disk, "you must explicitly name a single new resource", usageHint},
		refusal{"join-resource mydata " + small, "size of new device is only 4194304, but should be 8388608", "larger disk"},
		refusal{"join-resource mydata " + b.disk + " mydata 4m", "surplus argument '4m'", usageHint},
		refusal{"join-resource mydata " + v.a.disk, "device or resource busy", "nobody else uses"},
		refusal{"leave-resource mydata", "has not yet joined", "join-resource mydata DISK"},
		refusal{"up mydata", "has not yet joined", "join-resource mydata DISK"},
	)
	v.does(b, "up all", "I am not member of any resource")
	v.does(b, "join-resource mydata "+b.disk, "larger than the logical resource size", "wasting some space", "successfully joined resource 'mydata'")
	v.does(b, "wait-resource mydata is-sync-off")
	if got := b.link("resource-mydata/syncstatus-B"); got != "8388608" {
		v.t.Errorf("is-sync-off is reached when %s bytes are synced, expected 8388608", got)
	}
	b.awaitUpToDate()
	b.awaitVersion(v.w.acked.Load())
	v.prints(b, "role mydata", "I am actually secondary and A is primary\n")
	again := "join-resource mydata " + b.disk
	v.refuses(b, refusal{again, "has been already joined by host 'B'", "invalidate mydata"}, refusal{again + " --force", "has been already joined", "invalidate mydata"})
	v.refuses(b, refusal{"join-resource other " + v.second["B"] + " mydata", "already present in joined resource 'mydata'", "another name"})
	v.does(b, "join-resource other "+v.second["B"], "the device is called 'odev' on host 'A', but 'other' here")
	v.does(b, "wait-resource all is-sync-off")
	v.a.awaitLink("resource-other/syncstatus-B", "4194304")
}

// leaveResource: only a detached secondary, and whoever is lost (manual 3.2.1).
func (v *tour) leaveResource() {
	v.closed()
	v.refuses(v.a,
		refusal{"leave-resource mydata", "cannot be executed on designated primary", "make another host primary first"},
		refusal{"leave-resource mydata --force", "cannot be executed on designated primary", "make another host primary first"},
		refusal{"delete-resource mydata", "is not empty", "leave-resource mydata"},
		refusal{"leave-cluster", "host 'A' is member of some resources: mydata other", "leave-resource"},
	)
	v.refuses(v.b, refusal{"leave-resource mydata", "its disk must be detached", "marsadm down mydata"})
	v.does(v.b, "down mydata")
	v.does(v.b, "leave-resource mydata", "host 'B' leaves resource 'mydata'")
	for _, l := range []string{"data-B", "replay-B", "syncstatus-B", "device-B", "todo-B/attach", "actual-B/is-attached"} {
		v.a.awaitLink("resource-mydata/"+l, "")
	}
	v.b.awaitOrders()
	v.refuses(v.b, refusal{"leave-resource mydata", "has not yet joined", "join-resource"})
	v.b.kill() // it is lost with the other resource
	v.refuses(v.a, refusal{"leave-resource other --host=B", "its disk must be detached", "marsadm down other"})
	v.does(v.a, "leave-resource other --host=B --force", "acting as if I were host 'B'", "host 'B' leaves resource 'other'")
	v.a.awaitLink("resource-other/data-B", "")
	v.does(v.a, "secondary other --timeout=30")
	v.does(v.a, "down other")
	v.does(v.a, "leave-resource other")
	v.a.awaitLink("resource-other/data-A", "")
	v.does(v.a, "delete-resource other --timeout=30", "resource 'other' is deleted")
	v.a.awaitLink("resource-other/size", "")
}

// leaveCluster: whoever is a member of nothing, and whoever is lost, in any order
// (manual 3.1).
func (v *tour) leaveCluster() {
	v.refuses(v.n, refusal{"leave-cluster --host=A", "host 'A' is member of some resources: mydata", "leave-resource RES --host=A --force"})
	v.does(v.n, "leave-cluster", "host 'C' leaves the cluster", "stop marsd")
	v.a.awaitLink("ips/ip-C", "")
	v.n.awaitLink("ips/ip-C", "")
	v.fails(v.n, "wait-cluster", "is not a member of this cluster", "join-cluster")
	v.does(v.a, "leave-cluster --host=B --force", "host 'B' leaves the cluster")
	v.a.awaitLink("ips/ip-B", "")
	v.refuses(v.a, refusal{"leave-cluster --host=B", "host 'B' is not a member of this cluster", "join-cluster"})
	v.does(v.a, "wait-cluster", "all 0 peer(s) seem to be alive")
	if got := fmt.Sprint(filepath.Glob(v.a.mars("ips/ip-*"))); got != "["+v.a.mars("ips/ip-A")+"] <nil>" {
		v.t.Errorf("in ips/ there is still %s", got)
	}
	v.w.write(5)
}
