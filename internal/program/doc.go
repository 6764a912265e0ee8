// Package program is what this project's programs have in common besides what they do: the environment that they read, the
// signals that end them, and their version.
//
//	program.Exit("proxy: ", program.Proxy(8<<20, func() error {
//		ctx := program.Signalled()
//		e := program.Environment{Lookup: os.LookupEnv}
//		port := program.Required(&e, "PORT", program.WantPort, program.Port)
//		if err := errors.Join(e.Bad...); err != nil { return err }
//		…
//	}))
//
// SIGQUIT is none of the signals: Go's runtime prints the stacks of all goroutines and ends the process with status 2, which
// is what it is sent for.
package program
