package static

import "go.yaml.in/yaml/v3"

// documentLines has the lines of the entries of a document.
type documentLines struct {
	Revisions []revisionLines `yaml:"revisions"`
}

type revisionLines struct {
	line int
	pods []int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *revisionLines) UnmarshalYAML(n *yaml.Node) error {
	var entry struct {
		Pods []podLine `yaml:"pods"`
	}
	r.line = n.Line
	if err := n.Decode(&entry); err != nil {
		return err
	}
	for _, p := range entry.Pods {
		r.pods = append(r.pods, int(p))
	}
	return nil
}

type podLine int

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *podLine) UnmarshalYAML(n *yaml.Node) error {
	*p = podLine(n.Line)
	return nil
}
