package containers

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is which engine may run images. It is a flag.Value; the zero value is Auto.
type Choice string

// The choices.
const (
	Auto    Choice = "auto"    // podman, or else docker if its daemon answers
	Process Choice = "process" // none
	Podman  Choice = "podman"
	Docker  Choice = "docker"
)

var choices = []string{string(Auto), string(Process), string(Podman), string(Docker)}

// String returns the choice.
func (c *Choice) String() string {
	if *c == "" {
		return string(Auto)
	}
	return string(*c)
}

// Set implements flag.Value.
func (c *Choice) Set(v string) error {
	if !slices.Contains(choices, v) {
		return fmt.Errorf("should be %s", strings.Join(choices, ", "))
	}
	*c = Choice(v)
	return nil
}
