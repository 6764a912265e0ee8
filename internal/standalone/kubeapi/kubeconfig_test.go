package kubeapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestKubeconfig(t *testing.T) {
	s, err := New(Config{Token: testToken, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"127.0.0.1:1234", "[::1]:1234"} {
		config, err := clientcmd.Load(s.Kubeconfig(addr))
		if err != nil {
			t.Fatal(err)
		}
		c := config.Contexts["sluice"]
		if config.CurrentContext != "sluice" || c == nil || c.Namespace != "default" {
			t.Fatalf("got contexts %v, current %s", config.Contexts, config.CurrentContext)
		}
		cluster, user := config.Clusters[c.Cluster], config.AuthInfos[c.AuthInfo]
		if cluster.Server != "https://"+addr || string(cluster.CertificateAuthorityData) != string(s.authority) || user.Token != testToken {
			t.Errorf("got %+v %+v", cluster, user)
		}
		if err := clientcmd.ConfirmUsable(*config, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestWriteKubeconfig(t *testing.T) {
	s, err := New(Config{Token: testToken, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "config")
	for _, addr := range []string{"127.0.0.1:1", "127.0.0.1:2"} { // new, then replaced
		if err := WriteKubeconfig(path, s.Kubeconfig(addr)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != string(s.Kubeconfig(addr)) {
			t.Errorf("got %s, %v", got, err)
		}
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir, filepath.Join(dir, "a"): 0o700 | os.ModeDir} {
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
			}
		}
		if err := os.Chmod(path, 0o644); err != nil { // others could read the next token
			t.Fatal(err)
		}
	}
	// kubectl config set-context --current --namespace=other
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts["sluice"].Namespace = "other"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteKubeconfig(path, s.Kubeconfig("127.0.0.1:3")); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got files %v, %v", entries, err)
	}
}

func TestWriteKubeconfigKeepsTheUsers(t *testing.T) {
	s, err := New(Config{Token: testToken, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ours := s.Kubeconfig("127.0.0.1:1")
	with := func(change func(*api.Config)) string {
		config, err := clientcmd.Load(ours)
		if err != nil {
			t.Fatal(err)
		}
		change(config)
		data, err := clientcmd.Write(*config)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, present := range map[string]string{
		"another context": with(func(c *api.Config) { c.Contexts["work"] = api.NewContext() }),
		"another cluster": with(func(c *api.Config) { c.Clusters["work"] = api.NewCluster() }),
		"another user":    with(func(c *api.Config) { c.AuthInfos["work"] = api.NewAuthInfo() }),
		"other names": with(func(c *api.Config) {
			c.Contexts["work"] = c.Contexts["sluice"]
			delete(c.Contexts, "sluice")
		}),
		"no contexts": "apiVersion: v1\nkind: Config\n",
		"other YAML":  "a: b\n",
		"other kind":  strings.Replace(string(ours), "kind: Config", "kind: Secret", 1),
		"no YAML":     "\x00\x01{[",
		"notes":       "don't lose this\n",
	} {
		path := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(path, []byte(present), 0o600); err != nil {
			t.Fatal(err)
		}
		err := WriteKubeconfig(path, ours)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "name another file") {
			t.Errorf("%s: got %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != present {
			t.Errorf("%s: the file is now %s, %v", name, got, err)
		}
	}

	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, ours, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir, filepath.Join(target, "config")} {
		if err := WriteKubeconfig(path, ours); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteKubeconfig(empty, ours); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}
