// Package template executes templates of text/template, which may call only the methods of a table.
//
//	text ──► Parse: text/template/parse, names ──► Template ──► Execute(data) ──► bytes
//
// text/template finds methods by name while it runs, so that the linker keeps every exported method of every linked type:
// that is a tenth of the sidecar's memory, for a log that is mostly off. With this package the linker keeps only the methods in
// the table. Actions, pipelines, variables, functions and the printing of values are those of text/template. Both packages
// make the same output, as tests and fuzzing show, except for the function js, which escapes for JSON ([EscapeJS]).
//
// Parse rejects methods and fields that the table forbids, and the function call. Execute fails as text/template does, and
// also for a range over a channel, a function or a map whose keys are not strings, and at its bounds: 100 000 steps, a MiB of
// output, or templates that invoke each other a thousand deep. Unlike text/template it leaves out an action that fails and
// executes the rest, since a line of a log without one field is better than none.
//
// # Concurrency
//
// A Template does not change. Any number of goroutines may execute it.
package template
