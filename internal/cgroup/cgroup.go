// Package cgroup finds the control groups that a process is in.
//
//	/proc/self/cgroup, /proc/self/mountinfo ─► Dirs ─► the directories whose files have the process's limits
//
// It reads both versions, since a machine may have some controllers in one and some in the other (cgroups(7)).
package cgroup

import (
	"os"
	"path"
	"slices"
	"strings"
)

// Dirs returns the directories of this process's control groups for a controller: those of version 2, then those of
// version 1; none if the system has no control groups. file returns the text of a file, or "": [File], or a test's.
func Dirs(file func(name string) string, controller string) []string {
	return append(Chain(file, V2), Chain(file, controller)...)
}

// V2 selects the hierarchy of version 2 in Chain.
const V2 = ""

// Chain returns the directories of one hierarchy: that of a controller of version 1, or [V2]. The first is this process's
// own group; its visible parents follow.
func Chain(file func(name string) string, controller string) []string {
	return hierarchy{controller}.dirs(file("/proc/self/cgroup"), file("/proc/self/mountinfo"))
}

// File returns the text of a file, "" if it can't be read. It blocks only on reading the file.
func File(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

// hierarchy is that of a controller of version 1; with an empty controller, that of version 2.
type hierarchy struct{ controller string }

func (h hierarchy) dirs(groups, mounts string) (all []string) {
	own, ok := h.path(groups)
	if !ok {
		return nil
	}
	mount, top, ok := h.mount(mounts)
	if !ok {
		return nil
	}
	// In a container the mount may begin at this group.
	rest, below := strings.CutPrefix(own, strings.TrimSuffix(top, "/"))
	if !below {
		rest = "/"
	}
	for dir := path.Join("/", rest); ; dir = path.Dir(dir) {
		all = append(all, path.Join(mount, dir))
		if dir == "/" {
			return all
		}
	}
}

// path reads /proc/self/cgroup: "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1 (cgroups(7)).
func (h hierarchy) path(text string) (own string, ok bool) {
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if h.controller == "" && id == "0" && controllers == "" || h.controller != "" && h.among(controllers) {
			return path, true
		}
	}
	return "", false
}

// mount reads /proc/self/mountinfo: "36 35 98:0 /top /mount options … - type source super,options" (proc(5)).
func (h hierarchy) mount(text string) (mount, top string, ok bool) {
	kind := "cgroup2"
	if h.controller != "" {
		kind = "cgroup"
	}
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 3 || g[0] != kind || h.controller != "" && !h.among(g[2]) {
			continue
		}
		return f[4], f[3], true
	}
	return "", "", false
}

func (h hierarchy) among(list string) bool {
	return slices.Contains(strings.Split(list, ","), h.controller)
}
