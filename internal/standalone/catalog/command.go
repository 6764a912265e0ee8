package catalog

import (
	"errors"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// command returns the argv of a container that runs as a process: its own command, if the program is here, or that for its
// image. Nil without an error: the image runs in a container.
func (c *Catalog) command(app *manifest.Container) ([]string, error) {
	var missing error
	if len(app.Command) > 0 {
		if missing = c.runnable(app.Command[0], app.WorkingDir); missing == nil {
			return slices.Concat(app.Command, app.Args), nil
		}
	}
	for _, ref := range []string{app.Image, repository(app.Image)} {
		if argv := c.config.Images[ref]; len(argv) > 0 {
			if err := c.runnable(argv[0], app.WorkingDir); err != nil {
				return nil, app.ImagePlace.Errorf("%v", err)
			}
			return slices.Concat(argv, app.Args), nil
		}
	}
	switch {
	case app.Image == "" && missing != nil:
		return nil, app.CommandPlace.Errorf("%v", missing)
	case app.Image == "":
		return nil, app.ImagePlace.Errorf("missing, and so is command: give the container a command")
	}
	why := errors.New("containers are off")
	if c.config.Contained != nil {
		if why = c.config.Contained(app.Image); why == nil {
			return nil, nil
		}
	}
	if missing != nil {
		return nil, app.CommandPlace.Errorf("%v; nor can its image run in a container: %v", missing, why)
	}
	return nil, app.ImagePlace.Errorf("no command is known for %s, and it can't run in a container: %v: give the container a command whose "+
		"program is on this machine, say -image '%s=COMMAND', or install podman or docker and leave -runtime at auto", app.Image, why, app.Image)
}

// beside returns the argv of a sidecar. Beside an app in a container it runs in one, too, even if its program is here: else the
// two would not share ports.
func (c *Catalog) beside(t *manifest.Template, sidecar *manifest.Container) ([]string, error) {
	app, err := c.command(&t.Container)
	if err != nil { // which is reported for the app
		return c.command(sidecar)
	}
	argv, err := c.command(sidecar)
	switch {
	case err != nil, app == nil && argv == nil, app != nil && argv != nil:
		return argv, err
	case app != nil && !c.config.HostNetwork:
		return nil, sidecar.ImagePlace.Errorf("%s would run in a container, whose ports the app, a command, does not share on this system: give both "+
			"a command, or neither", sidecar.Image)
	case app != nil:
		return nil, nil
	}
	for _, ref := range []string{sidecar.Image, repository(sidecar.Image)} {
		if len(c.config.Images[ref]) > 0 {
			return nil, sidecar.ImagePlace.Errorf("%s is run as a command here, and the app, %s, in a container, with which a command does not share "+
				"ports: say -image '%s=COMMAND' too, or no -image for %s", sidecar.Image, t.Container.Image, t.Container.Image, ref)
		}
	}
	return nil, c.contained(sidecar)
}

// contained returns why a sidecar that has a command can't run in a container.
func (c *Catalog) contained(sidecar *manifest.Container) error {
	if sidecar.Image == "" {
		return sidecar.ImagePlace.Errorf("missing: beside an app that runs in a container a sidecar needs an image, too")
	}
	if err := c.config.Contained(sidecar.Image); err != nil {
		return sidecar.ImagePlace.Errorf("the app runs in a container, and %s can't: %v", sidecar.Image, err)
	}
	return nil
}

// Contained reports whether a container of t runs in podman or docker.
func (c *Catalog) Contained(t *manifest.Template, of *manifest.Container) bool {
	argv, err := c.one(t, of)
	return argv == nil && err == nil
}

// one returns the argv of a container of t; nil: its image runs in a container.
func (c *Catalog) one(t *manifest.Template, of *manifest.Container) ([]string, error) {
	if t.Beside(of) {
		return c.beside(t, of)
	}
	return c.command(of)
}

// runnable returns why a program can't be run. A name with a variable can't be checked before a replica starts.
func (c *Catalog) runnable(program, dir string) error {
	if c.config.Runnable == nil || strings.Contains(program, "$(") {
		return nil
	}
	return c.config.Runnable(program, dir)
}

// commands returns the argv of each of some containers of t.
func (c *Catalog) commands(t *manifest.Template, all []manifest.Container) ([][]string, error) {
	var commands [][]string
	var errs []error
	for i := range all {
		argv, err := c.one(t, &all[i])
		commands, errs = append(commands, argv), append(errs, err)
	}
	return commands, errors.Join(errs...)
}

// repository returns an image's reference without tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

// Split splits a command line into words like a shell. It supports quotes and backslashes only.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	var inWord, escaped bool
	for _, r := range line {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case strings.ContainsRune(" \t\n", r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("an open quote or a backslash at the end")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// Expand replaces $(NAME) by the value from lookup, as Kubernetes does in command, args and env. Unknown names stay; $$ is
// a dollar.
func Expand(s string, lookup func(string) (string, bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, ')')
		switch {
		case s[1] == '$':
			b.WriteByte('$')
			s = s[2:]
			continue
		case s[1] == '(' && end > 0:
			if v, ok := lookup(s[2:end]); ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[:end+1])
			}
			s = s[end+1:]
			continue
		}
		b.WriteByte('$')
		s = s[1:]
	}
}
