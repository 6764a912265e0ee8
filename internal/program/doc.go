// Package program has the parts that all programs of this project share: they read the environment, end on signals, and print
// their version.
//
//	program.Exit("proxy: ", program.Proxy(8<<20, func() error {
//		ctx := program.Signalled()
//		e := program.Environment{Lookup: os.LookupEnv}
//		port := program.Required(&e, "PORT", program.WantPort, program.Port)
//		if err := errors.Join(e.Bad...); err != nil { return err }
//		…
//	}))
//
// SIGQUIT is not among the signals: Go's runtime prints the stacks of all goroutines and ends the process with status 2, as
// the sender expects.
package program
