package metrics

// tagForm has the label values of the three cases in which a request has no tag of a route.
type tagForm struct{ disabled, normal, undefined string }

func currentTags() tagForm { return tagForm{"kn:disabled", "kn:default", "kn:undefined"} }

func classicTags() tagForm { return tagForm{"DISABLED", "DEFAULT", "UNDEFINED"} }

// of maps the values of Knative-Serving-Tag and Knative-Serving-Default-Route, empty when absent, to a label value (contract,
// "Headers").
func (f tagForm) of(tag, defaultRoute string) string {
	switch {
	case tag == "" && defaultRoute == "":
		return f.disabled
	case tag == "":
		return f.normal
	case defaultRoute == "true":
		return f.undefined
	}
	return tag
}
