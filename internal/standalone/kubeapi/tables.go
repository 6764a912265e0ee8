package kubeapi

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// table returns a Table of objects.
func (f *format) table(r *Resource, items []Object, m metav1.ListMeta) *metav1.Table {
	t := &metav1.Table{ListMeta: m, ColumnDefinitions: []metav1.TableColumnDefinition{}, Rows: []metav1.TableRow{}}
	t.Kind, t.APIVersion = "Table", f.apiVersion
	for _, c := range r.Columns {
		if !f.noColumns {
			t.ColumnDefinitions = append(t.ColumnDefinitions, metav1.TableColumnDefinition{
				Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description, Priority: c.Priority,
			})
		}
	}
	for _, o := range items {
		row := metav1.TableRow{Cells: make([]any, 0, len(r.Columns))}
		for _, c := range r.Columns {
			row.Cells = append(row.Cells, c.Value(o))
		}
		switch f.include {
		case metav1.IncludeObject:
			row.Object = runtime.RawExtension{Object: r.shown(o)}
		case metav1.IncludeNone:
		default:
			row.Object = runtime.RawExtension{Object: f.metadata(o)}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
