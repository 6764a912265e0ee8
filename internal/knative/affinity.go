package knative

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Affinity says what the requests of a revision have in common that should go to the same pod: the key. The zero value is
// none. Whatever it is, the field Sluice-Key counts first: by it a broker names the key of an event.
type Affinity struct {
	By      AffinityBy
	Name    string // of the field, the cookie or the parameter
	Segment int    // of the path, from 1
	// Ordered has the requests of a key in progress one at a time, in order of arrival. It holds for each activator by itself.
	Ordered bool
}

// AffinityBy is where a request's key is.
type AffinityBy uint8

// Where it may be.
const (
	NoAffinity AffinityBy = iota
	ByHeader
	ByCookie // which the activator sets where there is none, or one that it has not signed
	ByQuery
	ByPath
)

// What the two annotations may be.
const (
	AffinityForms  = "header=FIELD, cookie=NAME, query=NAME or path=N"
	AffinityStrict = "strict"
)

// ParseAffinity reads the annotations sluice.dev/affinity and sluice.dev/affinity-order; either may be empty.
func ParseAffinity(by, order string) (Affinity, error) {
	var a Affinity
	kind, name, _ := strings.Cut(by, "=")
	a.Name = name
	switch kind {
	case "":
	case "header":
		a.By = ByHeader
	case "cookie":
		a.By = ByCookie
	case "query":
		a.By = ByQuery
	case "path":
		a.By, a.Name = ByPath, ""
		n, err := strconv.ParseUint(name, 10, 16) // a longer path has no place in a head
		if err == nil {
			a.Segment = int(n)
		}
	default:
		return Affinity{}, fmt.Errorf("%s %q is not %s", AnnotationAffinity, by, AffinityForms)
	}
	switch {
	case by == "":
	case a.By == ByPath && a.Segment < 1:
		return Affinity{}, fmt.Errorf("%s %q: N is the number of a segment of the path, from 1", AnnotationAffinity, by)
	case a.By != ByPath && (&http.Cookie{Name: name}).Valid() != nil: // a token, as the name of a field is (RFC 9110 §5.1)
		return Affinity{}, fmt.Errorf("%s %q: that is no name of a %s", AnnotationAffinity, by, kind)
	}
	switch order {
	case "":
	case AffinityStrict:
		a.Ordered = true
	default:
		return Affinity{}, fmt.Errorf("%s %q is not %s", AnnotationAffinityOrder, order, AffinityStrict)
	}
	if a.Ordered && a.By == NoAffinity {
		return Affinity{}, errors.New(AnnotationAffinityOrder + " needs " + AnnotationAffinity + ": " + AffinityForms)
	}
	return a, nil
}
