// SPDX-License-Identifier: GPL-2.0-or-later

package simtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manualSections are the sections of the manual's chapters 1 and 3 that show or
// describe commands, written down here from the manual: each has a script of its
// name, which says all of these words.
func manualSections() map[string]string {
	return map[string]string{
		"1.2.2":   "create-cluster join-cluster",
		"1.3":     "create-resource join-resource fake-sync",
		"1.4.1":   "log-rotate log-delete-all",
		"1.4.2.1": "primary",
		"1.4.2.2": "primary --force",
		"1.4.3.1": "primary --force invalidate",
		"1.4.3.2": "primary --force leave-resource create-resource",
		"3":       "--force force- --timeout= --timeout=-1 --timeout=0 --host= --verbose",
		"3.1":     "create-cluster join-cluster leave-cluster wait-cluster --host= --force",
		"3.2.1":   "create-resource join-resource leave-resource wait-resource --host= --force",
		"3.2.2": "attach detach pause-sync pause-sync-local pause-sync-global resume-sync resume-sync-local resume-sync-global pause-replay pause-replay-local " +
			"pause-replay-global resume-replay resume-replay-local resume-replay-global connect connect-local connect-global disconnect disconnect-local " +
			"disconnect-global up down primary secondary wait-umount resize all",
		"3.2.3": "log-rotate log-delete log-delete-all",
		"3.2.4": "invalidate fake-sync set-replay",
		"3.3.1": "role state cstate dstate status show-state show-info show show-errors cat",
		"3.3.2": "wait-cluster wait-resource is-attach is-attach-off is-primary is-primary-off is-device is-device-off attach attach-off primary primary-off device device-off wait-connect wait-umount",
		"3.3.3": "set-link delete-file",
		"3.3.4": "syncer new-current-uuid create-md dump-md dump get-gi show-gi outdate adjust hidden-commands",
		"3.3.5": "invalidate-remote verify",
	}
}

// TestManualSections: no section is without its script, and no command without
// its place in it.
func TestManualSections(t *testing.T) {
	for section, words := range manualSections() {
		files, err := filepath.Glob(filepath.Join("testdata/manual", section+"-*.txtar"))
		if err != nil || len(files) != 1 {
			t.Errorf("section %s of the manual has the scripts %q, %v", section, files, err)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		said := commandWords(string(text))
		for word := range strings.FieldsSeq(words) {
			open := strings.HasSuffix(word, "=") || strings.HasSuffix(word, "-")
			if !said[word] && !(open && anyWord(said, word)) {
				t.Errorf("%s: nobody says %s", files[0], word)
			}
		}
	}
}

// commandWords are the words of all marsadm commands in a script.
func commandWords(text string) map[string]bool {
	said := map[string]bool{}
	for line := range strings.Lines(text) {
		_, words, ok := strings.Cut(line, " marsadm ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(words) {
			said[word] = true
		}
	}
	return said
}

func anyWord(said map[string]bool, prefix string) bool {
	for word := range said { // order does not matter: whether there is one
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}
