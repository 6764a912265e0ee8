package standalone

import (
	"github.com/sluice-proxy/sluice/internal/standalone/hello"
	"github.com/sluice-proxy/sluice/internal/standalone/player"
)

// samples are the built-in apps: the argv[0] with which this binary is one of them, and the images that it stands for.
func samples() map[string][]string {
	return map[string][]string{hello.Name: hello.Images[:], player.Name: player.Images[:]}
}

func isSample(program string) bool {
	_, ok := samples()[program]
	return ok
}

// setPlayer sets what the player would find in a pod: its host name, and its namespace, which the original asks Kubernetes for.
func (i *instance) setPlayer(vars map[string]string) {
	for name, value := range map[string]string{"HOSTNAME": i.name, "BROKER_NAMESPACE": i.Namespace} {
		if _, own := vars[name]; !own {
			vars[name] = value
		}
	}
}
