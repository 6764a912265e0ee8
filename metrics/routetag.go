package metrics

// RouteTag maps the values of Knative-Serving-Tag and
// Knative-Serving-Default-Route, empty when absent, to the route tag of the
// current metric names (contract, "Headers").
func RouteTag(tag, defaultRoute string) string {
	return currentTags().of(tag, defaultRoute)
}

// ClassicRouteTag is RouteTag for the classic metric names.
func ClassicRouteTag(tag, defaultRoute string) string {
	return classicTags().of(tag, defaultRoute)
}

// tagForm names the three cases that are no tag of a route.
type tagForm struct{ disabled, normal, undefined string }

func currentTags() tagForm { return tagForm{"kn:disabled", "kn:default", "kn:undefined"} }

func classicTags() tagForm { return tagForm{"DISABLED", "DEFAULT", "UNDEFINED"} }

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
