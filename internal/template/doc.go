// Package template executes the templates of text/template with the methods of a table.
//
//	text ──► Parse: text/template/parse, names ──► Template ──► Execute(data) ──► bytes
//
// text/template finds methods by name while it runs, so a program that executes one has to keep every exported method of
// every type that it links: a tenth of the sidecar's memory, for a log that is mostly off. Here a method is called only if a
// table has it. The rest is as in text/template: actions, pipelines, variables, functions, how values are printed. Both make the
// same bytes, which is tested and fuzzed, but for those of js, which escapes for JSON ([EscapeJS]).
//
// Refused by Parse, with an error that names it: what the table says is not to be used, and the function call. Execute fails
// as text/template does, and besides for a range over a channel, a function or a map whose keys are no strings, and for
// what would take its time: more than 100 000 steps, a MiB of output, or templates that invoke each other more than a
// thousand deep. What fails is left out and the rest carried out, unlike there: a line of a log that lacks one field is
// better than none.
//
// # Concurrency
//
// A Template does not change. Any number of goroutines may execute it.
package template
