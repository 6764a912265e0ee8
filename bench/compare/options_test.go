package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func names(o options) (scenarios, contenders []string) {
	for _, s := range o.scenarios {
		scenarios = append(scenarios, s.name)
	}
	for _, c := range o.contenders {
		contenders = append(contenders, c.name)
	}
	return scenarios, contenders
}

func TestParse(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all, who := names(o)
	if len(all) != 25 || slices.Contains(who, "activator-wide") || !slices.Contains(who, "knative") || o.rounds != 5 || o.duration != 3*time.Second {
		t.Errorf("by default %v, %v, %d rounds of %v", all, who, o.rounds, o.duration)
	}
	o, err = parse([]string{"-scenarios", "idle, conns-4", "-contenders", "activator-wide,nginx", "-peer", "mine=run --it=1", "-rounds", "2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all, who = names(o)
	if strings.Join(all, " ") != "conns-4 idle" || strings.Join(who, " ") != "nginx activator-wide mine" || o.rounds != 2 {
		t.Errorf("%v, %v, %d rounds", all, who, o.rounds)
	}
	if what := o.contenders[2].what; what != "run --it=1" {
		t.Errorf("the peer's command is %q", what)
	}
}

// A mistake causes one line and exit status 2.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-none", "flag provided but not defined: -none"},
		{"more", `unexpected argument "more"`},
		{"-rounds 0", "-rounds 0: should be 1 or more"},
		{"-rounds x", `invalid value "x" for flag -rounds: parse error`},
		{"-duration 1500ms", "-duration 1.5s: should be whole seconds"},
		{"-duration 0s", "-duration 0s: should be whole seconds"},
		{"-scenarios idle,none", `there is no scenario "none"; -list prints all`},
		{"-contenders none", `there is no contender "none"; -list prints all`},
		{"-peer x", `invalid value "x" for flag -peer: "x" is not NAME=COMMAND`},
		{"-peer =x", `invalid value "=x" for flag -peer: "=x" is not NAME=COMMAND`},
		{"-peer nginx=x", "-peer nginx: there is one of that name"},
		{"-contenders nginx -baseline main", "-baseline main: none of this project's contenders takes part"},
		{"-variant x=pair", `invalid value "x=pair" for flag -variant: "x=pair" is not NAME=CONTENDER SETTING`},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard, io.Discard)
		if err == nil || err.Error() != c.want || exitCode(err) != 2 {
			t.Errorf("%s: %v, exit status %d; want %s", c.args, err, exitCode(err), c.want)
		}
	}
	for v, want := range map[string]string{
		"x=pair y":           `invalid value "x=pair y" for flag -variant: "y" is neither VARIABLE=VALUE nor -flag=value`,
		"x=nginx A=b":        `-variant x: "nginx" is none of this project's contenders; -list prints all`,
		"nginx=pair A=b":     "-variant nginx: there is one of that name",
		"x=queue-proxy -a=b": "-variant x: -a=b is an argument for an activator, and queue-proxy has none",
	} {
		if err := run(t.Context(), []string{"-variant", v}, io.Discard, io.Discard); err == nil || err.Error() != want || exitCode(err) != 2 {
			t.Errorf("%s: %v; want %s", v, err, want)
		}
	}
	if exitCode(nil) != 0 || exitCode(errFailed) != 1 || exitCode(usageError{flag.ErrHelp}) != 2 {
		t.Error("exit codes")
	}
}

func TestHelpAndList(t *testing.T) {
	var out bytes.Buffer
	for arg, want := range map[string]string{"--help": "-duration TIME", "-list": "activator-wide*"} {
		out.Reset()
		if err := run(t.Context(), []string{arg}, &out, io.Discard); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", arg, err, out.String())
		}
	}
	for _, s := range scenarios() {
		if !strings.Contains(out.String()+"", s.name) && s.what == "" {
			t.Errorf("%s isn't listed, or has no description", s.name)
		}
	}
}

func TestCommandCanBeTypedAgain(t *testing.T) {
	const want = `go run ./bench/compare -rounds 2 -peer 'mine=sh -c '\''exec x "$LISTEN"'\'''`
	if got := command([]string{"-rounds", "2", "-peer", `mine=sh -c 'exec x "$LISTEN"'`}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Missing programs, and how to install them, are reported before anything is built.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o := options{scenarios: scenarios(), contenders: []*contender{{name: "x", programs: []string{"no-such-program"}}}}
	packages := o.missing()
	for _, want := range []string{"nghttp2-client", "wrk"} {
		if !slices.Contains(packages, want) {
			t.Errorf("%s isn't missing: %v", want, packages)
		}
	}
	err := provide(t.Context(), o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "run this with -install, or apt-get install") && !strings.Contains(err.Error(), "needs Linux") {
		t.Error(err)
	}
}

// A file that can't be written is reported before the first measurement.
func TestOutputsComeFirst(t *testing.T) {
	for _, o := range []options{{json: "/no/such/directory/x"}, {plot: "/no/such/directory/x"}} {
		if _, err := o.outputs(); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	o := options{json: filepath.Join(t.TempDir(), "x")}
	f, err := o.outputs()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.json.Close()); err != nil {
		t.Error(err)
	}
}
