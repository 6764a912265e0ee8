// Package profiling serves the program's profiles as net/http/pprof does, for go tool pprof and go tool trace, but for
// differences of profiles (go tool pprof -diff_base makes them) and symbols, whose parser is 2 % of the sidecar.
//
//	/debug/pprof/           what there is
//	/debug/pprof/NAME       a profile of runtime/pprof: ?debug=1 as text, ?gc=1 after a collection
//	/debug/pprof/profile    the CPU, for ?seconds=30
//	/debug/pprof/trace      an execution trace, for ?seconds=1
//	/debug/pprof/cmdline    the program's arguments
//
// A request blocks for as long as it asks, or until its context ends. Whoever serves it must have no write timeout.
package profiling
