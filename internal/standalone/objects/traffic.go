package objects

// Traffic is a target of the route.
type Traffic struct {
	Revision string
	Latest   bool // it follows the latest ready revision
	Percent  int64
	Tag      string
	URL      string // of the tag
}
