// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"reflect"
	"strings"

	"mars/infra/roff"
	"mars/infra/status"
)

// jsonForm is one kind of value that commands print as JSON.
type jsonForm struct {
	title string
	brief string // and the commands that print it
	value any    // of the type
	means map[string]string
}

// jsonForms are all of them. What the fields mean is an interface: programs go by
// it, so a form's version changes when anything but an addition does.
func jsonForms() []jsonForm {
	return []jsonForm{
		{"status", "marsadm status --json: one object.", status.Status{}, statusMeans()},
		{"event", "marsadm watch: one object a line: exists for all that is there, then one for each change.", status.Event{}, eventMeans()},
		{"explanation", "marsadm explain --json: a list of such objects, one a resource.", status.Explanation{}, explainMeans()},
		{"logfile", "marsadm log check --json, log dump --json: one object a logfile, a line each; behind the records of a dump.", logReport{}, reportMeans()},
		{"record", "marsadm log dump --json: one object a record, a line each.", recordLine{}, recordMeans()},
	}
}

func statusMeans() map[string]string {
	const member = "resources[].members[]."
	return map[string]string{
		"schema": status.Schema, "version": "of the form: within a version fields are only added", "host": "from whose point of view", "cluster": "the uuid of the cluster",
		"marsd_running": "a marsd runs where this was asked", "insecure_network": "the cluster does without encryption and identities",
		"newest_stamp": "the newest of any link of the cluster and its hosts; those of resources do not count", "hosts": "the hosts of the cluster, by name", "resources": "the resources, by name",
		"hosts[].name": "of the host", "hosts[].address": "of the host", "hosts[].alive": "yes, no (its marsd said that it stops) or unknown", "hosts[].last_heard": "stamp of its last sign of life; empty: never",
		"hosts[].emergency_level": "0 none to 4 jammed", "hosts[].rest_space_gib": "free space of its /mars above the limits, may be negative; null: not told",
		"hosts[].tree_version": "format of its symlink tree", "hosts[].devices_note": "what its kernel lacks for devices; empty: nothing",
		"resources[].name": "of the resource", "resources[].size_bytes": "logical size", "resources[].designated_primary": "who is to be primary; empty: nobody",
		"resources[].actual_primaries": "who is", "resources[].reference": "the member that the others are measured by", "resources[].reference_end": "the end of its logs",
		"resources[].reference_end.log": "name of the logfile; empty: none", "resources[].reference_end.log_number": "its number", "resources[].reference_end.position": "bytes of it",
		"resources[].split_brain": "any member knows of one", "resources[].members": "the hosts that have joined it, by name",
		member + "host": "of the member", member + "local": "it is the host whose tree was read", member + "designated": "it is to be primary", member + "primary": "it is primary",
		member + "emergency_mode": "it does without a log, or is about to",
		member + "disk":           "its disk", member + "disk.state": strings.Join(status.DiskStates(), ", "), member + "disk.path": "of the block device", member + "disk.size_bytes": "physical size; null: not known",
		member + "disk.attached": "it is in service", member + "disk.error": "what is wrong with it, as its marsd says; empty: nothing",
		member + "device": "what applications use", member + "device.name": "below /dev/mars", member + "device.present": "it exists", member + "device.open_count": "how often it is open",
		member + "switches": "what was asked for", member + "switches.attach": "the disk shall be in service", member + "switches.fetch": "logs shall be fetched (the link connect)",
		member + "switches.sync": "a sync may run", member + "switches.replay": "logs shall be applied",
		member + "sync": "the initial sync", member + "sync.active": "it is running", member + "sync.done_bytes": "how far it is", member + "sync.total_bytes": "how far it goes", member + "sync.rate_bytes_per_second": "at present",
		member + "sync.from": "the source that it is valid for", member + "sync.equal_blocks": "blocks found equal", member + "sync.copied_blocks": "blocks copied",
		member + "sync.passed": "replay has passed the end of the sync: without that the disk is inconsistent",
		member + "fetch":       "the fetching of logs", member + "fetch.active": "it is running", member + "fetch.rate_bytes_per_second": "at present",
		member + "replay": "the applying of logs", member + "replay.active": "it is running", member + "replay.rate_bytes_per_second": "at present", member + "replay.log": "the log that it is at",
		member + "replay.log_number": "its number", member + "replay.position": "up to there it is applied, bytes", member + "replay.known": "there is a valid replay link",
		member + "replay.dirty_bytes": "behind the position, may be applied in part", member + "replay.code": "negative: replay has stopped for good",
		member + "lag_bytes":           "bytes of logs up to the reference's end that are not applied; null: not known",
		member + "fetched_ahead_bytes": "how many of those are on this host's /mars, at most; null: not known",
		member + "lag_seconds":         "age of the oldest write that is not applied; null: not measured (one look has nothing to compare with; watch and the metrics have)",
		member + "fetch_lag_seconds":   "the same for what is not on this host's /mars",
		member + "splits":              "where its history forks from others", member + "splits[].log_number": "the last common log; 0: only why is known", member + "splits[].position": "its common length",
		member + "splits[].why": "in words", member + "splits[].said": "it is what its own marsd says",
		member + "log_error": "what is wrong with its logs, as its marsd says; empty: nothing", member + "why": "why nothing more is happening, as its marsd says; empty: there is no reason",
		member + "messages": "further messages of its marsd", member + "messages[].name": "of the message", member + "messages[].text": "in words",
	}
}

func eventMeans() map[string]string {
	return map[string]string{
		"schema": status.EventSchema, "version": "of the form", "stamp": "the newest of any link by then: events of one look have the same", "event": "exists (at the beginning, or new), change or destroy",
		"object": "host, resource or member", "resource": "name; left out for a host", "host": "name; left out for a resource", "changed": "names of the fields of value that have other values than before; of change only",
		"alerts": "what has become bad, in words; left out if nothing has", "value": "the object as it is now, in the form of an element of hosts, resources (with an empty list of members) or members of a status; not of destroy",
	}
}

func explainMeans() map[string]string {
	return map[string]string{
		"schema": status.ExplainSchema, "version": "of the form", "resource": "name", "host": "whose member is explained", "facts": "a chain, each of which the next one rests on; the last one decides",
		"facts[].ok": "it is as it should be", "facts[].text": "in words", "healthy": "nothing needs to be done: all is as it was asked for, or on its way",
		"command": "what to type next; empty: nothing", "on": "the host where; empty with command",
	}
}

func reportMeans() map[string]string {
	return map[string]string{
		"file": "as it was named", "resource": "that it is of, by what stands in it; empty in one of the original", "log": "name of the log, by what stands in it", "nonce": "tells logs of one name apart",
		"foreign": "the original has written it", "size_bytes": "of the file", "records": "sound records", "fillers": "records without content", "sound_up_to": "end of the last sound record, bytes",
		"last_sequence": "number of that record", "last_stamp": "its Lamport time", "verdict": "end (nothing follows), torn tail (what follows never was durable) or damage",
		"reason": "which check has failed there; empty: none", "evidence": "offset of the record that proves damage, or -1",
	}
}

func recordMeans() map[string]string {
	return map[string]string{
		"offset": "where it begins, bytes", "end": "where it ends", "sequence": "its number", "stamp": "its Lamport time", "code": "WRITE_NEW, WRITE_ZEROES, DISCARD, FILLER; of other programs WRITE_OLD, or code and a number",
		"position": "on the disk, bytes", "length": "on the disk, bytes",
	}
}

// jsonField is a field of a form, with those above it.
type jsonField struct {
	path string
	kind string
}

// jsonFields lists the fields of a type, as they are printed.
func jsonFields(t reflect.Type, prefix string) []jsonField {
	var list []jsonField
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			list = append(list, jsonFields(f.Type, prefix)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() {
			continue
		}
		kind, inner, ending := jsonKind(f.Type)
		list = append(list, jsonField{prefix + name, kind})
		if inner != nil {
			list = append(list, jsonFields(inner, prefix+name+ending+".")...)
		}
	}
	return list
}

// jsonKind is what a type is in JSON, and the object in it.
func jsonKind(t reflect.Type) (kind string, inner reflect.Type, ending string) {
	if t == reflect.TypeFor[status.Amount]() {
		return "number or null", nil, ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		kind, _, _ := jsonKind(t.Elem())
		return kind + " or null", nil, ""
	case reflect.Struct:
		return "object", t, ""
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "list of objects", t.Elem(), "[]"
		}
		return "list of texts", nil, ""
	case reflect.Bool:
		return "true or false", nil, ""
	case reflect.String:
		return "text", nil, ""
	case reflect.Interface:
		return "object", nil, ""
	}
	return "number", nil, ""
}

func manJSON() *roff.Page {
	p := roff.New("mars-json", 7, "what marsadm prints for programs")
	p.Heading("description")
	p.Para("marsadm status, explain and log print JSON with --json, watch always does. " +
		"Within a version of a form, fields are only added: leave aside what you do not know. " +
		"Sizes are bytes, rates bytes per second, stamps Lamport times sec.nnnnnnnnn. What is not known is null or empty, never a 0 that could be read as: nothing is missing. " +
		"Control characters and other characters that are not seen are escaped.")
	for _, f := range jsonForms() {
		p.Heading(f.title)
		p.Para(f.brief)
		for _, field := range jsonFields(reflect.TypeOf(f.value), "") {
			p.Term(field.path, field.kind+": "+f.means[field.path]+".")
		}
	}
	p.Heading("see also")
	p.Para("marsadm(8), mars-symlinks(7)")
	return p
}
