package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"text/template"
)

// house has a value of each kind, and methods of each sort.
type house struct {
	Name    string
	Int     int
	Int64   int64
	Uint16  uint16
	Float   float64
	Float32 float32
	Complex complex128
	Bool    bool
	List    []string
	Bytes   []byte
	Array   [3]int
	Map     map[string][]string
	Numbers map[int]string
	Any     any
	Nothing any
	Error   error
	Pointer *string
	Next    *house
	None    *house
	Rooms   []room
	Func    func() string
	Chan    chan int
	hidden  string
	room
}

type (
	room  struct{ Size int }
	title string
	fault string
)

func (f fault) Error() string { return string(f) }

func (r *room) String() string { return fmt.Sprintf("room of %d", r.Size) }

func (h *house) Greet(name string) string { return h.Name + " greets " + name }
func (h *house) Add(a, b int) int         { return a + b + h.Int }
func (h *house) Half(n int) (int, error) {
	if n%2 != 0 {
		return 0, errors.New("odd")
	}
	return n / 2, nil
}
func (h house) Title() title  { return title(h.Name) }
func (h *house) Self() *house { return h }
func (h *house) Boom() string { panic("boom") }
func (h *house) Sell() string { return "sold" }

func methods() Methods {
	return Methods{
		reflect.TypeFor[house](): {
			"Greet": (*house).Greet, "Add": (*house).Add, "Half": (*house).Half, "Title": house.Title, "Self": (*house).Self,
			"Boom": (*house).Boom, "String": (*house).String, "Sell": nil,
		},
		reflect.TypeFor[room]():  {"String": (*room).String},
		reflect.TypeFor[fault](): {"Error": fault.Error},
	}
}

func data() *house {
	text := "pointed"
	return &house{
		Name: `the "<House>" & 'co'`, Int: -3, Int64: 1 << 40, Uint16: 7, Float: 2.5, Float32: 0.1, Complex: 1 + 2i, Bool: true,
		List: []string{"a", "b", ""}, Bytes: []byte("hi"), Array: [3]int{4, 5, 6},
		Map: map[string][]string{"B": {"2", "3"}, "A": {"1"}, "Empty": nil}, Numbers: map[int]string{1: "one"},
		Any: []int{9}, Error: fault("bad"), Pointer: &text,
		Next: &house{Name: "next"}, Rooms: []room{{1}, {2}}, hidden: "h",
		room: room{12},
	}
}

// theirs executes text with text/template. It makes an error of a panic of reflect.
func theirs(text string, data any) (out string, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	js := func(args ...any) string { return EscapeJS(shown(args)) } // ours, since text/template's js is not for JSON
	t, err := template.New("t").Funcs(template.FuncMap{"js": js}).Parse(text)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

func ours(text string, data any) (out string, err error) {
	t, err := Parse("t", text, methods())
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

// same compares both packages on a text, and returns the error of ours.
func same(t *testing.T, text string) error {
	t.Helper()
	h := data() // the same for both, since they may print addresses
	got, err := ours(text, h)
	want, theirErr := theirs(text, h)
	if (err == nil) != (theirErr == nil) || err == nil && got != want {
		t.Errorf("%s\ngot  %q, %v\nwant %q, %v", text, got, err, want, theirErr)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %v", err)
	}
	return err
}

var works = []string{
	"", "plain", "{{/* comment */}}x", "a {{- 1 -}} b", "{{.}}", "{{$}}", "{{.Rooms}} {{index .Rooms 0}} {{range .Rooms}}{{.}} {{.Size}} {{.String}};{{end}}",
	"{{.Name}} {{.Int}} {{.Int64}} {{.Uint16}} {{.Float}} {{.Float32}} {{.Complex}} {{.Bool}} {{.List}} {{.Bytes}} {{.Array}} {{.Map}} {{.Numbers}}",
	"{{.Any}} {{.Nothing}} {{.Error}} {{.None}} {{.Pointer}} {{.Map.A}} {{.Map.Missing}} {{.Map.Missing.More}} {{.Size}} {{.String}} {{.Title}}",
	"{{.Next.Name}} {{.Self.Next.Greet `x`}} {{.Greet .Name}} {{.Greet (print 1)}} {{`y` | .Greet}} {{.Add 1 2}} {{2 | .Add 1.0}} {{.Half 4}} {{.Greet .Pointer}}",
	`{{true}} {{1}} {{-1}} {{0x10}} {{0b11}} {{'a'}} {{'e'}} {{1.5}} {{1e3}} {{1_000}} {{0x1p-2}} {{1i}} {{"q\t"}} ` + "{{`raw`}}",
	`{{print 1 2 "x" .Int nil .Map.Missing}} {{println .Name 1}}{{printf "%5d|%-5s|%v|%q|%T" .Int "ab" .List .Name .Any}} {{printf "%d"}} {{.Name | printf "%s-%s" "a"}}`,
	`{{js .Name}} {{html .Name}} {{urlquery .Name}} {{html .Rooms 1}} {{js .Nothing}} {{urlquery .Pointer "&"}} {{html}} {{.Error | html | js}} {{js "a\x01\x7f\u00e9\u200b\ufffd\xff😀</=&>'\\"}} {{html "\x00\"<&>'"}} {{urlquery "a b&\xff"}} {{html .Nothing 1 .Rooms}}`, `{{if -0.0}}a{{end}}{{if 0i}}b{{end}}{{if .Error}}c{{end}}`,
	`{{len .Name}} {{len .List}} {{len .Map}} {{len .Array}} {{len .Any}} {{len .Pointer}}`,
	`{{index .List 1}} {{index .Map "B" 1}} {{index .Map "No"}} {{index .Array 2}} {{index .Name 0}} {{index .Any 0}} {{index .Numbers 1}} {{index .Numbers .Uint16}} {{1 | index .List}} {{index .List}} {{index .Map.B 0}}`,
	`{{slice .Name 1 3}} {{slice .List 1}} {{slice .List 0 1 2}} {{slice .Array}} {{slice .Pointer 2}}`,
	`{{not .Bool}} {{not .None}} {{and 1 0 .Missing}} {{or 0 "" .Name .Missing}} {{and .Bool .Name}} {{.Name | or ""}} {{and 1 nil}} {{or .Nothing .Map.X}}`,
	`{{eq 1 1}} {{eq .Int 1 -3}} {{eq .Int64 .Uint16}} {{eq .Uint16 7}} {{eq .Name "x"}} {{eq .Nothing nil}} {{eq .None nil}} {{eq .Map nil}} {{eq .Int nil}} {{ne 1 2}} {{eq .Complex 1i}} {{eq .Bool true}} {{eq .Array .Array}} {{eq .Next .Next}}`,
	`{{lt 1 2}} {{le 2 2}} {{gt .Int .Uint16}} {{ge .Uint16 .Int}} {{lt "a" "b"}} {{lt .Float 3.0}} {{le .Uint16 .Uint16}} {{gt .Uint16 .Int64}}`,
	`{{if .Bool}}yes{{else}}no{{end}} {{if .None}}a{{else if .Int}}b{{else}}c{{end}} {{if not .Nothing}}n{{end}} {{if $x := .Name}}{{$x}}{{end}} {{if .Map.No}}{{else}}e{{end}} {{if .Float}}f{{end}} {{if .Rooms}}r{{end}}`,
	`{{with .Next}}{{.Name}} {{$.Name}}{{end}} {{with .None}}a{{else}}{{.Name}}{{end}} {{with $n := .Next}}{{$n.Name}}{{end}} {{with .None}}{{else with .Next}}{{.Name}}{{end}} {{with .Map}}{{.B}}{{end}}`,
	`{{range .List}}[{{.}}]{{end}} {{range $i, $e := .List}}{{$i}}={{$e}} {{end}} {{range $e := .Map}}{{$e}}{{end}} {{range $k, $v := .Map}}{{$k}}{{range $v}}{{.}}{{$k}}{{end}}{{end}} {{range 3}}{{.}}{{end}} {{range $i := .Uint16}}{{$i}}{{end}}`,
	`{{range .Map.No}}x{{else}}none {{$.Name}}{{end}} {{range $x := .Bytes}}{{$x}},{{end}} {{range $i, $x := .Map.Empty}}{{else}}{{$i}}{{$x}}{{end}} {{range $x, $x := .List}}{{$x}}{{end}} {{range .Any}}{{.}}{{end}} {{range 0}}{{else}}zero{{end}}`,
	`{{range $i, $e := .List}}{{if eq $i 1}}{{continue}}{{end}}{{$e}}{{end}} {{range .List}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{range 2}}{{with $}}{{break}}{{end}}{{end}}{{end}}`,
	`{{$x := 1}}{{$x}}{{$x = "s"}}{{$x}}{{if true}}{{$x := 2.5}}{{$x}}{{$x = print nil}}{{end}}{{$x}} {{$i := 0}}{{$e := ""}}{{range $i, $e = .List}}{{end}}{{$i}}{{$e}} {{$l := ""}}{{range $l = .Map}}{{end}}{{$l}} {{with $x = .Next}}{{end}}{{$x.Name}}`,
	`{{define "T"}}<{{.}}{{$}}>{{end}}{{template "T" .Name}}{{template "T"}}{{template "T" 1}} {{block "B" .Next}}{{.Name}}{{end}} {{define "R"}}{{if .}}{{len .}}{{template "R" (slice . 1)}}{{end}}{{end}}{{template "R" "abc"}}`,
	`{{(.Self).Name}} {{(index .Map "A")}} {{(or .None .Next).Name}} {{$v := .Next}}{{$v.Title}} {{printf "%s" (printf "%d" 1)}} {{1 | printf "%d" | len}} {{(print 1) | len}}`,
	`{{.Pointer | printf "%s"}}`, "{{.Pointer | printf}}", "{{.Error.Error}}", `{{print .Func}}`, `{{.Chan | not}}`, `{{if .Func}}f{{else}}no{{end}}`,
}

func TestSameAsTextTemplate(t *testing.T) {
	for _, text := range works {
		if err := same(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Both packages fail, in the parser or in the execution.
var fails = []string{
	"{{", "{{nofunc}}", "{{$x}}", "{{if}}{{end}}", "{{break}}", "{{template `T`}}", "{{.Missing}}", "{{.hidden}}", "{{.Name.More}}", "{{.None.Name}}", "{{.Nothing.X}}",
	"{{nil}}", "{{nil | print}}", "{{1 2}}", "{{.Name 1}}", "{{1 | .Name}}", "{{.Greet}}", "{{.Greet 1}}", "{{.Greet .Int}}", "{{.Greet `a` `b`}}", "{{.Greet nil}}", "{{.Add 1.5 2}}", "{{.Half 3}}",
	"{{.Boom}}", "{{.None.Boom}}", "{{.Add `a` 1}}", "{{.Add .Uint16 1}}", "{{.Greet .Nothing}}", "{{.Map.A 1}}", "{{.Numbers.A}}", "{{`a`.Name}}",
	"{{printf 1}}", "{{printf}}", "{{printf nil}}", "{{len 1}}", "{{len .None}}", "{{len nil}}", "{{len}}", "{{not}}", "{{not 1 2}}", "{{and}}", "{{or}}",
	"{{index .List 9}}", "{{index .List -1}}", "{{index .List `a`}}", "{{index .List nil}}", "{{index .Map 1}}", "{{index .Map nil}}", "{{index .Int 1}}", "{{index nil}}", "{{index .None 1}}", "{{index}}", "{{index .Numbers 1.5}}",
	"{{slice .Name 99}}", "{{range .None}}{{end}}", "{{nil | print}}", "{{slice .Name 2 1}}", "{{slice .Name 0 1 2}}", "{{slice .Int}}", "{{slice .List 1 2 3 4}}", "{{slice .List `a`}}", "{{slice .List 2 1 3}}", "{{slice .List 0 2 1}}", "{{slice nil}}", "{{slice .None}}",
	"{{eq 1}}", "{{eq 1 `a`}}", "{{eq 1 1.0}}", "{{eq .Map .Map}}", "{{eq .List .Map}}", "{{ne 1}}", "{{lt 1 `a`}}", "{{lt true false}}", "{{lt .List .List}}", "{{lt 1 1.5}}", "{{lt nil 1}}", "{{gt 1i 2i}}", "{{le .Bool .Bool}}",
	"{{range 1.5}}{{end}}", "{{range .Name}}{{end}}", "{{range $i, $x := 3}}{{end}}", "{{range .None.Next}}{{end}}", "{{range true}}{{end}}", "{{range .Next}}{{end}}",
	"{{.Func}}", "{{.Func.X}}", "{{.Error.Error 1}}", "{{define `R`}}{{template `R`}}{{end}}{{template `R`}}", "{{99999999999999999999}}", "{{18446744073709551615}}", "{{define `T`}}{{end}}{{define `T`}}x{{end}}{{define `T`}}y{{end}}",
}

func TestFailsAsTextTemplate(t *testing.T) {
	for _, text := range fails {
		if err := same(t, text); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// An action that fails is left out, and the rest of a line is written.
func TestC8WhatFailsIsLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		`a{{index .List 9}}b{{.Name | len}}`:        "ab20",
		`a{{.Missing}}b`:                            "ab",
		`a{{.Boom}}b`:                               "ab",
		`a{{.Func}}b`:                               "ab",
		`{{printf "%s-%s" .Name (index .List 9)}}b`: "b",
		`{{if index .List 9}}a{{else}}b{{end}}c`:    "bc",
		`{{with index .List 9}}a{{else with .Next}}{{.Name}}{{end}}c`:                 "nextc",
		`{{range index .List 9}}a{{else}}b{{end}}c`:                                   "bc",
		`{{range .None.Next}}a{{else}}b{{end}}c`:                                      "bc",
		`{{range .Name}}a{{else}}b{{end}}c`:                                           "bc",
		`{{range .List}}[{{index $.Array .}}]{{end}}c`:                                "[][][]c",
		`{{$x := index .List 9}}a{{$x}}b{{$y := 1}}{{$y}}`:                            "ab1",
		`{{$x := 1}}{{$x = index .List 9}}a{{$x}}b`:                                   "ab",
		`{{if $x := index .List 9}}{{else}}<{{$x}}>{{end}}b`:                          "<>b",
		`{{$x := (len (index .List 9))}}{{with $y := .Int}}{{$y}}{{end}}`:             "-3",
		"a{{template `T` (index .List 9)}}b{{define `T`}}<{{.}}{{index . 5}}>{{end}}": "a<>b",

		"a{{template `T`}}b": "ab",
	} {
		if got, err := ours(text, data()); err == nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	if got, err := ours(`{{.First}}{{.Second}}`, data()); err == nil || got != "" || !strings.Contains(err.Error(), "First") {
		t.Errorf("%q, %v: not the first failure", got, err)
	}
}

// encoding/json reads the output of js back.
func FuzzC7JSIsJSON(f *testing.F) {
	for _, s := range []string{"", "o'neil", "\"\\\x00\x1f\x7f", "\x80\xff", "\U000E0001\u2028\u200b\ufffd", "<&=>", "é😀", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		escaped := EscapeJS(s)
		if err := json.Unmarshal([]byte(`"`+escaped+`"`), &got); err != nil {
			t.Fatalf("%q: %s: %v", s, escaped, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q: %s: read back as %q, want %q", s, escaped, got, want)
		}
		if strings.ContainsAny(escaped, "'<>&") {
			t.Fatalf("%q: %s", s, escaped)
		}
	})
}

// Parse rejects features of text/template that this package does not support, and names them in the error.
func TestRefused(t *testing.T) {
	for text, name := range map[string]string{
		"{{.Sell}}":                                  "Sell",
		"{{if false}}{{(.Self).Sell}}{{end}}":        "Sell",
		"{{with $x := .}}{{else}}{{$x.Sell}}{{end}}": "Sell",
		"{{define `T`}}{{range .}}{{print (len .Next.Sell)}}{{end}}{{end}}{{template `T` .List}}": "Sell",
		"{{range .List}}{{else}}{{print .Sell}}{{end}}{{template `T` .}}{{define `T`}}{{end}}":    "Sell",
		"{{call .Func}}": "call",
	} {
		if _, err := Parse("t", text, methods()); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTemplateIsUsedByMany(t *testing.T) {
	tmpl, err := Parse("t", works[20]+works[21], methods())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			var b bytes.Buffer
			for range 50 {
				b.Reset()
				if err := tmpl.Execute(&b, data()); err != nil {
					b.WriteString(err.Error())
				}
			}
			done <- b.String()
		}()
	}
	first := <-done
	for range 7 {
		if again := <-done; again != first {
			t.Errorf("%q, and %q", first, again)
		}
	}
}

// A template that would use too much time, memory or stack fails.
func TestBounds(t *testing.T) {
	const deep = 5000
	for text, want := range map[string]string{
		"{{range 1000000000000}}{{end}}":                                          "steps",
		"{{range 100000}}{{.}}{{end}}":                                            "steps",
		"{{range 4000}}{{printf `%100000d` .}}{{end}}":                            "bytes",
		"{{define `T`}}{{range 2}}{{template `T`}}{{end}}{{end}}{{template `T`}}": "deep",
		"{{define `T`}}{{if .}}{{range 2}}{{template `T` (slice $ 1)}}{{end}}{{end}}{{end}}{{template `T` `" + strings.Repeat("x", 60) + "`}}": "steps",
		"{{define `T`}}" + strings.Repeat("{{if 1}}", deep) + "{{template `T`}}" + strings.Repeat("{{end}}", deep) + "{{end}}{{template `T`}}": "steps",
	} {
		if _, err := ours(text, data()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	before := bytes.NewBuffer(make([]byte, maxBytes))
	tmpl, err := Parse("t", "{{range 20000}}{{.}} {{end}}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tmpl.Execute(before, nil); err != nil {
		t.Errorf("bytes that were in the buffer before count: %v", err)
	}
}

func FuzzSameAsTextTemplate(f *testing.F) {
	for _, text := range append(works, fails...) {
		f.Add(text)
	}
	large := regexp.MustCompile(`[0-9_xbeEpP.]{3}|range.*range.*range|Int64`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || large.MatchString(text) && strings.Contains(text, "range") || strings.Contains(text, "%") && large.MatchString(text) {
			return // both would take long
		}
		if _, err := Parse("t", text, methods()); err != nil && (strings.Contains(err.Error(), "can't be used here") || strings.Contains(text, "call")) {
			return
		}
		_ = same(t, text)
	})
}
