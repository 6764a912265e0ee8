// Package cgroup finds the control groups that a process is in.
//
//	/proc/self/cgroup, /proc/self/mountinfo ─► Dirs ─► the directories whose files say what the process may use
//
// Both versions are looked at, since a machine may have some controllers in one and some in the other (cgroups(7)).
package cgroup

import (
	"os"
	"path"
	"slices"
	"strings"
)

// Dirs are the directories of this process's control groups that the named controller counts in: those of version 2 before
// those of version 1. There are none where the system has no control groups. File gives the text of a file, or nothing:
// [File], or a test's own.
func Dirs(file func(name string) string, controller string) []string {
	return append(Chain(file, V2), Chain(file, controller)...)
}

// V2 is what Chain takes for the hierarchy of version 2.
const V2 = ""

// Chain is the part of Dirs that is in one hierarchy: that of a controller of version 1, or [V2]. This process's own group
// comes first, then those above it that can be seen.
func Chain(file func(name string) string, controller string) []string {
	return hierarchy{controller}.dirs(file("/proc/self/cgroup"), file("/proc/self/mountinfo"))
}

// File is the text of a file of the system's, empty when it can't be read. It blocks for nothing but that.
func File(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

// hierarchy is that of a controller of version 1, or that of version 2 when it is empty.
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
	// What is mounted may begin at this very group, as in a container.
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
