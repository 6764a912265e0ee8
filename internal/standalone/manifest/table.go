package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Class is what becomes of a field.
type Class int

// The classes.
const (
	// Done: it means here what it means in a cluster.
	Done Class = iota
	// Ignored: it may stand here and has no meaning on one machine without containers. A line says so.
	Ignored
	// Recorded: a cluster, or a tool, has written it down; it asks for nothing.
	Recorded
)

// String is the class as the documentation says it.
func (c Class) String() string {
	return [...]string{"supported", "ignored with a note", "ignored"}[c]
}

// field is one that an object may have. Its class is Done when there is a way to read it.
type field[T any] struct {
	name   string
	note   string // what is done, or why nothing is
	read   func(*reader, node, *T)
	record bool
}

func (f *field[T]) class() Class {
	switch {
	case f.read != nil:
		return Done
	case f.record:
		return Recorded
	}
	return Ignored
}

// table is all that may stand in an object of one kind: the one place that says so.
type table[T any] struct {
	kind   string // as Kubernetes' and Knative's references call it
	fields []field[T]
}

// newTable joins groups of fields.
func newTable[T any](kind string, groups ...[]field[T]) *table[T] {
	return &table[T]{kind, slices.Concat(groups...)}
}

// ignored are fields without a meaning here, for one reason.
func ignored[T any](note string, names ...string) []field[T] {
	var all []field[T]
	for _, name := range names {
		all = append(all, field[T]{name: name, note: note})
	}
	return all
}

// recorded are fields that ask for nothing.
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

func (t *table[T]) rows() []Row {
	var all []Row
	for i := range t.fields {
		f := &t.fields[i]
		all = append(all, Row{t.kind, f.name, f.note, f.class()})
	}
	return all
}

// Rows are all fields, kind by kind, and the annotations and labels that mean something.
func Rows() []Row {
	all := slices.Concat(
		serviceTable.rows(), metadataTable.rows(), serviceSpecTable.rows(), trafficTable.rows(), templateTable.rows(),
		podTable.rows(), containerTable.rows(), portTable.rows(), envTable.rows(), sourceTable.rows(), keyTable.rows(), fieldRefTable.rows(),
		resourceRefTable.rows(), envFromTable.rows(), envFromRefTable.rows(), probeTable.rows(), httpGetTable.rows(), tcpTable.rows(), grpcTable.rows(), execTable.rows(),
		headerTable.rows(), resourcesTable.rows(), mountTable.rows(), volumeTable.rows(), emptyDirTable.rows(), objectVolumeTable.rows(), itemTable.rows(),
		downwardVolumeTable.rows(), downwardItemTable.rows(), projectedTable.rows(), projectionTable.rows(), hostPathTable.rows(),
		configMapTable.rows(), secretTable.rows(),
	)
	for i := range annotationTable {
		a := &annotationTable[i]
		all = append(all, Row{a.kind(), a.key, a.note, a.class})
	}
	return all
}

// readObject reads the mapping n by its table. A null is no field; and what would be ignored, and is empty or
// false, asks for nothing.
func readObject[T any](r *reader, n node, t *table[T], to *T) {
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "should be a mapping, is %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for key, value := range r.entries(n) {
		i := slices.IndexFunc(t.fields, func(f field[T]) bool { return f.name == key })
		switch {
		case seen[key]:
			r.errorf(value, "given twice")
		case key == "<<":
			r.errorf(value, "merge keys are not read: write the fields out")
		case i < 0:
			r.errorf(value, "no such field%s", t.suggest(key))
		case isNull(value):
		case t.fields[i].read != nil:
			t.fields[i].read(r, value, to)
		case t.fields[i].class() == Ignored && !asksForNothing(value):
			r.ignore(value, t.fields[i].note)
		}
		seen[key] = true
	}
}

// manyFields are too many to list in an error.
const manyFields = 12

func (t *table[T]) suggest(key string) string {
	var names []string
	for _, f := range t.fields {
		names = append(names, f.name)
	}
	if name := nearest(key, names); name != "" {
		return "; the nearest is " + name
	}
	if len(names) > manyFields {
		return " in " + t.kind
	}
	return fmt.Sprintf("; %s has: %s", t.kind, strings.Join(names, ", "))
}

// nearest is the name that key was probably meant to be: within a third of its letters, and two at least. "": none is.
func nearest(key string, names []string) string {
	best, least := "", max(2, len(key)/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(key), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or changed (Levenshtein's).
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
