package kubeapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// contextName is the name of the context, the cluster and the user in a kubeconfig.
const contextName = "sluice"

// Kubeconfig returns a kubeconfig (YAML) for the API at addr, with its authority and the token.
func (s *Server) Kubeconfig(addr string) []byte {
	return []byte(strings.NewReplacer(
		"NAME", contextName,
		"ADDR", addr,
		"AUTHORITY", base64.StdEncoding.EncodeToString(s.authority),
		"TOKEN", s.config.Token,
	).Replace(`apiVersion: v1
kind: Config
clusters:
- name: NAME
  cluster:
    server: https://ADDR
    certificate-authority-data: AUTHORITY
users:
- name: NAME
  user:
    token: "TOKEN"
contexts:
- name: NAME
  context:
    cluster: NAME
    user: NAME
    namespace: default
current-context: NAME
`))
}

// WriteKubeconfig replaces the file at path by data, from Kubeconfig, or creates it with its directories. Only the user may
// read it. It refuses to replace what isn't a kubeconfig with that context alone, so that none of the user's is lost.
func WriteKubeconfig(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("kubeconfig %s: %w", path, err)
		}
	}()
	if err := replaceable(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails after the rename
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// replaceable returns an error if there is a file at path that WriteKubeconfig must not replace.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file: name another file")
	}
	present, err := os.ReadFile(path)
	if err != nil || len(present) == 0 {
		return err
	}
	type named struct {
		Name string `json:"name"`
	}
	var config struct {
		Kind                      string
		Clusters, Users, Contexts []named
	}
	err = yaml.Unmarshal(present, &config)
	ours := err == nil && config.Kind == "Config"
	for _, list := range [][]named{config.Clusters, config.Users, config.Contexts} {
		ours = ours && len(list) == 1 && list[0].Name == contextName
	}
	if !ours {
		return fmt.Errorf("the file has more than the context %s, and writing would lose it: name another file", contextName)
	}
	return nil
}
