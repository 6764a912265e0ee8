package profiling

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/pprof/"+path, http.NoBody))
	return w.Code, w.Body.String()
}

// read is a profile as go tool pprof shows it.
func read(t *testing.T, how, profile string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(name, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "pprof", how, "-symbolize=none", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestText(t *testing.T) {
	for path, want := range map[string]string{
		"": "href='heap?debug=1'", "goroutine?debug=2": "goroutine ", "heap?debug=1&gc=1": "# Alloc = ", "cmdline": os.Args[0],
		"symbol": "num_symbols: 1\n", fmt.Sprintf("symbol?%#x+0x1", reflect.ValueOf(Handler).Pointer()): "profiling.Handler\n",
	} {
		if status, body := get(t, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q has no %q", path, status, body, want)
		}
	}
	for path, want := range map[string]int{
		"none": http.StatusNotFound, "a/b": http.StatusNotFound, "heap?seconds=0": http.StatusBadRequest,
		"heap?seconds=x": http.StatusBadRequest, "heap?seconds=1&debug=1": http.StatusBadRequest,
	} {
		if status, _ := get(t, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestSymbolsByPost(t *testing.T) {
	w := httptest.NewRecorder()
	body := strings.NewReader(fmt.Sprintf("0x1+%#x\n", reflect.ValueOf(Handler).Pointer()))
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/debug/pprof/symbol", body))
	if !strings.Contains(w.Body.String(), "profiling.Handler\n") {
		t.Errorf("%q", w.Body)
	}
}

func TestProfilesAreRead(t *testing.T) {
	for path, want := range map[string]string{
		"heap": "inuse_space/bytes", "allocs": "alloc_space/bytes", "goroutine": "goroutine/count", "mutex": "delay/nanoseconds",
		"profile?seconds=0.05": "cpu/nanoseconds",
	} {
		status, body := get(t, path)
		if out := read(t, "-raw", body); status != http.StatusOK || !strings.Contains(out, want) {
			t.Errorf("%s: %d\n%.500s", path, status, out)
		}
	}
	if status, body := get(t, "trace?seconds=0.05"); status != http.StatusOK || !strings.HasPrefix(body, "go 1.") {
		t.Errorf("trace: %d %.20q", status, body)
	}
}

// pages is a profile of our own, whose counts are known. It is made once: runtime/pprof keeps it.
var pages = pprof.NewProfile("sluice.test.pages")

//go:noinline
func addBefore(n int) { pages.Add(n, 0) }

//go:noinline
func addMeanwhile(n int) { pages.Add(n, 0) }

func TestWhatWasAddedMeanwhile(t *testing.T) {
	t.Cleanup(func() {
		for n := range 6 {
			pages.Remove(n)
		}
	})
	for n := range 3 {
		addBefore(n)
	}
	addMeanwhile(3)
	before, err := collect(pages)
	if err != nil {
		t.Fatal(err)
	}
	addMeanwhile(4)
	addMeanwhile(5)
	pages.Remove(0)
	after, err := collect(pages)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := less(after, before)
	if err != nil {
		t.Fatal(err)
	}
	out := read(t, "-top", string(delta))
	for function, want := range map[string]string{"addMeanwhile": "2", "addBefore": "-1"} {
		if !regexp.MustCompile(`(?m) ` + want + ` +[\d.]+% .*profiling\.` + function + `$`).MatchString(out) {
			t.Errorf("%s is not %s in\n%s", function, want, out)
		}
	}
}

func TestADeltaTakesItsTime(t *testing.T) {
	_, profile := get(t, "goroutine?seconds=1")
	if out := read(t, "-top", profile); !strings.Contains(out, "Duration: 1s") {
		t.Errorf("not of a second:\n%s", out)
	}
}

// The profiles of this program hold what those of others do: labels, inlined functions, numbers packed or not.
func TestAProfileLessItselfIsNothing(t *testing.T) {
	sample := regexp.MustCompile(`(?m)^ +(-?\d+).*: [\d ]+$`)
	pprof.Do(t.Context(), pprof.Labels("key", "value"), func(context.Context) {
		for _, name := range []string{"goroutine", "heap"} {
			p, err := collect(pprof.Lookup(name))
			if err != nil {
				t.Fatal(err)
			}
			nothing, err := less(p, p)
			if err != nil {
				t.Fatal(err)
			}
			samples, sum := sample.FindAllStringSubmatch(read(t, "-raw", string(nothing)), -1), 0
			for _, s := range samples {
				n, err := strconv.Atoi(s[1])
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if sum != 0 || len(samples) == 0 {
				t.Errorf("%s: %d samples are %d", name, len(samples), sum)
			}
		}
	})
}

func FuzzLess(f *testing.F) {
	for _, name := range []string{"threadcreate", "block"} {
		p, err := collect(pprof.Lookup(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p, p)
	}
	f.Fuzz(func(_ *testing.T, profile, other []byte) { _, _ = less(profile, other) })
}

func TestAClientThatGoes(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	client := s.Client()
	client.Timeout = 50 * time.Millisecond
	if resp, err := client.Get(s.URL + "/debug/pprof/heap?seconds=60"); err == nil {
		resp.Body.Close()
		t.Error("it was answered")
	}
	// Close waits for the handler, which ends with its client.
}
