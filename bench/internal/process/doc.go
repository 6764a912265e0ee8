// Package process runs the programs of a comparison and reads what they cost from Linux's /proc.
//
//	p, err := process.Start(process.Command{Name: "nginx", Path: path, Args: args, Dir: dir})
//	before, err := p.Usage()
//	…
//	p.Stop()
//
// A Process is a program with all that it starts: a process group of its own. Stop ends the group, so that a program's
// workers end with it; who leaves the group is neither measured nor ended.
//
// # Concurrency
//
// Each Process has one goroutine, which waits for the program's end; Stop waits for it. All methods may be called from
// anywhere.
package process
