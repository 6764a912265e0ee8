// Package process runs the programs of a comparison and reads their CPU time and memory from Linux's /proc.
//
//	p, err := process.Start(process.Command{Name: "nginx", Path: path, Args: args, Dir: dir})
//	before, err := p.Usage()
//	…
//	p.Stop()
//
// A Process is a program with its own process group, which has all processes that the program starts. Stop kills the group.
// A process that leaves the group is neither measured nor killed.
//
// # Concurrency
//
// Each Process has one goroutine, which waits for the program's end; Stop waits for it. All methods are safe for concurrent
// use.
package process
