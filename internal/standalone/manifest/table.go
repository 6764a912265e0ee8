package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Class is how a field is treated.
type Class int

// The classes.
const (
	// Done: it has the same meaning as in a cluster.
	Done Class = iota
	// Ignored: it is allowed and has no meaning on one machine, or for a process. There is a note.
	Ignored
	// Recorded: a cluster, or a tool, has recorded its state in it. It is ignored.
	Recorded
)

// String returns the name of the class in the documentation.
func (c Class) String() string {
	return [...]string{"supported", "ignored with a note", "ignored"}[c]
}

// field is a known field of an object. Its class is Done if it has a read function.
type field[T any] struct {
	name   string
	note   string // its effect, or why it is ignored
	read   func(*reader, node, *T)
	record bool
}

// table has all known fields of one kind of object. What doesn't depend on the object's type is in the listing: the compiler makes
// the generic part once for each of them.
type table[T any] struct {
	listing
	read []func(*reader, node, *T) // of each field in listing.rows; nil unless its class is Done
}

// listing has the names of the fields of one kind of object.
type listing struct {
	kind string // its name in the API references of Kubernetes and Knative
	rows []Row
}

// newTable joins groups of fields.
func newTable[T any](kind string, groups ...[]field[T]) *table[T] {
	t := &table[T]{listing: listing{kind: kind}}
	for _, group := range groups {
		for i := range group {
			f := &group[i]
			t.add(f.name, f.note, f.read != nil, f.record)
			t.read = append(t.read, f.read)
		}
	}
	return t
}

func (l *listing) add(name, note string, read, record bool) {
	class := Ignored
	switch {
	case read:
		class = Done
	case record:
		class = Recorded
	}
	l.rows = append(l.rows, Row{l.kind, name, note, class})
}

// ignored returns fields that are ignored for the same reason.
func ignored[T any](note string, names ...string) []field[T] {
	var all []field[T]
	for _, name := range names {
		all = append(all, field[T]{name: name, note: note})
	}
	return all
}

// recorded returns fields of the class Recorded.
func recorded[T any](note string, names ...string) []field[T] {
	all := ignored[T](note, names...)
	for i := range all {
		all[i].record = true
	}
	return all
}

// Row is one field in the documentation.
type Row struct {
	Kind, Name, Note string
	Class            Class
}

// Rows returns all fields by kind, and the known annotations and labels.
func Rows() []Row {
	all := slices.Concat(
		serviceTable.rows, metadataTable.rows, serviceSpecTable.rows, trafficTable.rows, templateTable.rows,
		podTable.rows, containerTable.rows, portTable.rows, envTable.rows, sourceTable.rows, keyTable.rows, fieldRefTable.rows,
		resourceRefTable.rows, envFromTable.rows, envFromRefTable.rows, probeTable.rows, httpGetTable.rows, tcpTable.rows, grpcTable.rows, execTable.rows,
		headerTable.rows, resourcesTable.rows, securityTable.rows, podSecurityTable.rows, mountTable.rows, volumeTable.rows, emptyDirTable.rows, objectVolumeTable.rows, itemTable.rows,
		downwardVolumeTable.rows, downwardItemTable.rows, projectedTable.rows, projectionTable.rows, hostPathTable.rows,
		configMapTable.rows, secretTable.rows,
		brokerTable.rows, brokerSpecTable.rows, triggerTable.rows, triggerSpecTable.rows, triggerFilterTable.rows, filterTable(0).rows,
		deliveryTable.rows, destinationTable.rows, referenceTable.rows, pingTable.rows, pingSpecTable.rows, containerSourceTable.rows,
		containerSourceSpecTable.rows, podTemplateTable.rows, sourcePodTable.rows, sinkBindingTable.rows, sinkBindingSpecTable.rows,
		subjectTable.rows, selectorTable.rows, requirementTable.rows, overridesTable.rows,
	)
	for i := range annotationTable {
		a := &annotationTable[i]
		all = append(all, Row{a.kind(), a.key, a.note, a.class})
	}
	return all
}

// readObject reads the mapping n by its table.
func readObject[T any](r *reader, n node, t *table[T], to *T) {
	r.fields(n, &t.listing, func(i int, value node) { t.read[i](r, value, to) })
}

// fields reads the mapping n: read gets the values of the fields that are Done, with their places in l.rows. It skips fields
// that are null, and fields to ignore that are empty or false.
func (r *reader) fields(n node, l *listing, read func(i int, value node)) {
	if r.schema != nil {
		r.describeFields(n, l, read)
		return
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "should be a mapping, is %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for key, value := range r.entries(n) {
		i := slices.IndexFunc(l.rows, func(f Row) bool { return f.Name == key })
		switch {
		case seen[key]:
			r.errorf(value, "given twice")
		case i < 0 && r.api:
			r.drop(n, key, l.suggest(key))
		case key == "<<":
			r.errorf(value, "merge keys are not read: write the fields out")
		case i < 0:
			r.errorf(value, "no such field%s", l.suggest(key))
		case isNull(value):
		case l.rows[i].Class == Done:
			read(i, value)
		case l.rows[i].Class == Ignored && !asksForNothing(value):
			r.ignore(value, l.rows[i].Note)
		}
		seen[key] = true
	}
}

// manyFields is too many to list in an error.
const manyFields = 12

func (l *listing) suggest(key string) string {
	var names []string
	for _, f := range l.rows {
		names = append(names, f.Name)
	}
	if name := nearest(key, names); name != "" {
		return "; the nearest is " + name
	}
	if len(names) > manyFields {
		return " in " + l.kind
	}
	return fmt.Sprintf("; %s has: %s", l.kind, strings.Join(names, ", "))
}

// nearest returns the most similar name to key, which differs in at most a third of its letters, or two; "" if there is
// none.
func nearest(key string, names []string) string {
	best, least := "", max(2, len(key)/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(key), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is Levenshtein's: the number of letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
