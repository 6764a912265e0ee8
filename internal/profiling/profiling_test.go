package profiling

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
	} {
		if status, body := get(t, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q has no %q", path, status, body, want)
		}
	}
	for path, want := range map[string]int{
		"none": http.StatusNotFound, "a/b": http.StatusNotFound, "heap?seconds=1": http.StatusBadRequest,
	} {
		if status, _ := get(t, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
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

func TestAClientThatGoes(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
	client := s.Client()
	client.Timeout = 50 * time.Millisecond
	if resp, err := client.Get(s.URL + "/debug/pprof/trace?seconds=60"); err == nil {
		resp.Body.Close()
		t.Error("it was answered")
	}
	// Close waits for the handler, which ends with its client.
}
