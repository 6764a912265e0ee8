package standalone

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/standalone/containers"
)

// podman has the settings of a machine of its own: images and containers in a directory of the test. It skips the test where
// podman can't run containers.
func podman(t *testing.T) (image string) {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("there is no podman")
	}
	dir, err := os.MkdirTemp("", "pod") // not t.TempDir: with a long path podman takes 20 s to see that a container has ended
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// runc, unlike crun, runs with cgroups of both versions at once; and the limits are those that need no privilege.
	t.Setenv("CONTAINERS_CONF", write("containers.conf", "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n"))
	t.Setenv("CONTAINERS_STORAGE_CONF", write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "graph"), filepath.Join(dir, "run"))))
	run := func(args ...string) string {
		out, err := exec.Command("podman", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("podman %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() {
		if left := run("ps", "--all", "--quiet"); left != "" {
			t.Errorf("containers are left: %s", left)
			run("rm", "--all", "--force", "--time", "0")
		}
		run("rmi", "--all", "--force") // and with them the mounts in the directory
	})
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-o", app, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	const name = "localhost/app:v1"
	run("import", "--change", `ENTRYPOINT ["/app"]`, write("layer.tar", layer.String()), name)
	if out, err := exec.Command("podman", "run", "--rm", name, "nothing").CombinedOutput(); err != nil {
		t.Skipf("podman can't run a container here: %v: %s", err, out)
	}
	return name
}

// A container is served from zero, has what its manifest says, and is gone with its replica.
func TestAContainerHasWhatItsManifestSays(t *testing.T) {
	image := podman(t)
	w := newWorld(t, `apiVersion: v1
kind: ConfigMap
metadata: {name: cfg}
data: {app.conf: "level=debug"}
`+serviceOf("box", `      securityContext: {runAsUser: 1234}
      initContainers:
      - name: prepare
        image: `+image+`
        args: [write, /cache/made, before]
        volumeMounts: [{name: tmp, mountPath: /cache}]
      containers:
      - image: `+image+`
        args: [serve, $(GREETING)]
        ports: [{containerPort: 9000}]
        env: [{name: GREETING, value: hi there}, {name: PATH, value: /nowhere}, {name: HOME, value: "/a\nb"}]
        securityContext: {readOnlyRootFilesystem: true, runAsGroup: 5678}
        resources: {limits: {memory: 64Mi, cpu: 500m}}
        volumeMounts:
        - {name: tmp, mountPath: /cache}
        - {name: cfg, mountPath: /etc/cfg}
      volumes:
      - {name: tmp, emptyDir: {}}
      - {name: cfg, configMap: {name: cfg}}
`))
	w.config.Runtime = containers.Podman
	w.start()
	got, err := w.get("box")
	if err != nil || !strings.HasPrefix(got, "200 ") {
		t.Fatalf("%q, %v", got, err)
	}
	for _, want := range []string{
		`args: ["/app" "serve" "hi there"]`, `PORT: "9000"`, `PATH: "/nowhere"`, `HOME: "/a\nb"`, `K_SERVICE: "box"`, "user: 1234:5678",
		`/cache/made: "before"`, `/etc/cfg/app.conf: "level=debug"`, "write /x: read-only file system", "write /etc/cfg/x: read-only file system", "write /cache/x: ok", "memory: 67108864",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s\nin %s", want, got)
		}
	}
	if strings.Contains(w.out.String(), "ignored here") || strings.Contains(w.out.String(), "not mounted") {
		t.Error("what the container has is said to be ignored")
	}
	w.eventually("it is at zero", func() bool {
		rows := strings.Split(w.out.String(), "service box: ")
		return strings.Contains(rows[len(rows)-1], "replicas 0/0")
	})
}
