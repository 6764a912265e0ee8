package catalog

import (
	"errors"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// command returns the argv of a container.
func (c *Catalog) command(app *manifest.Container) ([]string, error) {
	if len(app.Command) > 0 {
		return slices.Concat(app.Command, app.Args), c.runnable(app.Command[0], app.WorkingDir, app.CommandPlace)
	}
	for _, ref := range []string{app.Image, repository(app.Image)} {
		if argv := c.config.Images[ref]; len(argv) > 0 {
			return slices.Concat(argv, app.Args), c.runnable(argv[0], app.WorkingDir, app.ImagePlace)
		}
	}
	if app.Image == "" {
		return nil, app.ImagePlace.Errorf("missing, and so is command: give the container a command")
	}
	return nil, app.ImagePlace.Errorf(
		"images are not pulled here, and no command is known for %s: give the container a command, or say -image '%s=COMMAND'",
		app.Image, app.Image)
}

// runnable returns an error at place if a program can't be run. A name with a variable can't be checked before a replica
// starts.
func (c *Catalog) runnable(program, dir string, place manifest.Place) error {
	if c.config.Runnable == nil || strings.Contains(program, "$(") {
		return nil
	}
	if err := c.config.Runnable(program, dir); err != nil {
		return place.Errorf("%v", err)
	}
	return nil
}

// commands returns the argv of each container.
func (c *Catalog) commands(all []manifest.Container) ([][]string, error) {
	var commands [][]string
	var errs []error
	for i := range all {
		argv, err := c.command(&all[i])
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
