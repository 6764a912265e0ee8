// Package profiling serves the program's profiles for go tool pprof and go tool trace, as net/http/pprof does. It leaves
// out differences of profiles (use go tool pprof -diff_base) and symbols, whose parser would be 2 % of the sidecar's binary.
//
//	/debug/pprof/           list of profiles
//	/debug/pprof/NAME       a profile of runtime/pprof: ?debug=1 as text, ?gc=1 after a collection
//	/debug/pprof/profile    a CPU profile, for ?seconds=30
//	/debug/pprof/trace      an execution trace, for ?seconds=1
//	/debug/pprof/cmdline    the program's arguments
//
// A request blocks for the seconds that it asks for, or until its context ends. The server must have no write timeout.
package profiling
