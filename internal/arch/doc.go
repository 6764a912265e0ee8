// Package arch holds the tests of the module's structure: which package may import which, and what each must have.
package arch
