package manifest

import (
	"go.yaml.in/yaml/v3"
)

// vol is a Volume while it is read.
type vol struct {
	Volume
	kinds int
}

// defaultMode is Kubernetes' default mode of a volume's files.
const defaultMode = 0o644

// elsewhere are the kinds of volumes that exist only in a cluster.
var elsewhere = []string{
	"gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "persistentVolumeClaim", "rbd", "flexVolume", "cinder",
	"cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos",
	"csi", "ephemeral", "image",
}

var volumeTable = newTable("Volume",
	[]field[vol]{
		{name: "name", note: "", read: func(r *reader, n node, v *vol) { v.Name = r.label(n, label1123) }},
		{name: "emptyDir", note: "a directory of each replica, removed with it", read: func(r *reader, n node, v *vol) { v.kinds++; readObject(r, n, emptyDirTable, v) }},
		{name: "configMap", note: "files as they are when the replica starts", read: func(r *reader, n node, v *vol) { v.add(r.objectPart(n, FromConfigMap)) }},
		{name: "secret", note: "files as they are when the replica starts", read: func(r *reader, n node, v *vol) { v.add(r.objectPart(n, FromSecret)) }},
		{name: "downwardAPI", note: "as it is when the replica starts", read: func(r *reader, n node, v *vol) { v.add(r.downwardPart(n)) }},
		{name: "projected", note: "several of these in one directory", read: func(r *reader, n node, v *vol) { v.add(r.projected(n)...) }},
		{name: "hostPath", note: "the file or directory itself", read: func(r *reader, n node, v *vol) { v.add(); readObject(r, n, hostPathTable, v) }},
	},
	ignored[vol]("replaced by an empty directory of each replica", elsewhere...),
)

func (v *vol) add(parts ...VolumePart) {
	v.kinds++
	v.readOnly = true
	v.Parts = append(v.Parts, parts...)
}

func (r *reader) volume(n node) Volume {
	v := vol{Volume: Volume{Place: r.place(n)}}
	readObject(r, n, volumeTable, &v)
	switch {
	case n.Kind != yaml.MappingNode:
	case v.Name == "":
		r.errorf(n, "should have name")
	case v.kinds > 1:
		r.errorf(n, "should be of one kind, is of %d", v.kinds)
	}
	return v.Volume
}

var emptyDirTable = newTable("EmptyDirVolumeSource", ignored[vol]("directories are the machine's", "medium", "sizeLimit"))

var hostPathTable = newTable("HostPathVolumeSource",
	[]field[vol]{{name: "path", note: "", read: func(r *reader, n node, v *vol) { v.HostPath = r.text(n) }}},
	ignored[vol]("what is there is used", "type"),
)

// many is a projected volume while it is read.
type many struct {
	parts []VolumePart
	mode  uint32
}

var projectedTable = newTable("ProjectedVolumeSource",
	[]field[many]{
		{name: "sources", note: "", read: func(r *reader, n node, p *many) {
			r.list(n, func(n node) { readObject(r, n, projectionTable, p) })
		}},
		{name: "defaultMode", note: "", read: func(r *reader, n node, p *many) { p.mode = r.mode(n) }},
	},
)

func (r *reader) projected(n node) []VolumePart {
	p := many{mode: defaultMode}
	readObject(r, n, projectedTable, &p)
	for i := range p.parts {
		p.parts[i].Mode = p.mode
	}
	return p.parts
}

var projectionTable = newTable("VolumeProjection",
	[]field[many]{
		{name: "configMap", note: "", read: func(r *reader, n node, p *many) { p.parts = append(p.parts, r.objectPart(n, FromConfigMap)) }},
		{name: "secret", note: "", read: func(r *reader, n node, p *many) { p.parts = append(p.parts, r.objectPart(n, FromSecret)) }},
		{name: "downwardAPI", note: "", read: func(r *reader, n node, p *many) { p.parts = append(p.parts, r.downwardPart(n)) }},
	},
	ignored[many]("there is no API server here", "serviceAccountToken", "clusterTrustBundle", "podCertificate"),
)

var objectVolumeTable = newTable("ConfigMapVolumeSource, SecretVolumeSource, their projections",
	[]field[VolumePart]{
		{name: "name", note: "of the ConfigMap", read: func(r *reader, n node, p *VolumePart) { p.Source.Name = r.objectName(n) }},
		{name: "secretName", note: "of the Secret", read: func(r *reader, n node, p *VolumePart) { p.Source.Name = r.objectName(n) }},
		{name: "items", note: "", read: func(r *reader, n node, p *VolumePart) { p.Items = readList(r, n, itemTable) }},
		{name: "defaultMode", note: "0644", read: func(r *reader, n node, p *VolumePart) { p.Mode = r.mode(n) }},
		{name: "optional", note: "without it replicas wait for what is missing", read: func(r *reader, n node, p *VolumePart) { p.Source.Optional = r.boolean(n) }},
	},
)

func (r *reader) objectPart(n node, kind SourceKind) VolumePart {
	p := VolumePart{Mode: defaultMode, Source: &Source{Kind: kind, Place: r.place(n)}}
	readObject(r, n, objectVolumeTable, &p)
	if n.Kind == yaml.MappingNode && p.Source.Name == "" {
		r.errorf(n, "should name the %s", kind)
	}
	return p
}

var itemTable = newTable("KeyToPath",
	[]field[VolumeItem]{
		{name: "key", note: "", read: func(r *reader, n node, i *VolumeItem) { i.Key = r.text(n) }},
		{name: "path", note: "", read: func(r *reader, n node, i *VolumeItem) { i.Path = r.below(n) }},
		{name: "mode", note: "", read: func(r *reader, n node, i *VolumeItem) { i.Mode = r.mode(n) }},
	},
)

var downwardVolumeTable = newTable("DownwardAPIVolumeSource",
	[]field[VolumePart]{
		{name: "items", note: "", read: func(r *reader, n node, p *VolumePart) {
			r.list(n, func(n node) {
				var i downwardItem
				readObject(r, n, downwardItemTable, &i)
				if n.Kind == yaml.MappingNode && (len(i.found) != 1 || i.Path == "") {
					r.errorf(n, "should have path, and either fieldRef or resourceFieldRef")
					return
				}
				if n.Kind == yaml.MappingNode {
					i.found[0].Place = r.place(n)
					i.Source = &i.found[0]
				}
				p.Items = append(p.Items, i.VolumeItem)
			})
		}},
		{name: "defaultMode", note: "0644", read: func(r *reader, n node, p *VolumePart) { p.Mode = r.mode(n) }},
	},
)

func (r *reader) downwardPart(n node) VolumePart {
	p := VolumePart{Mode: defaultMode}
	readObject(r, n, downwardVolumeTable, &p)
	return p
}

type downwardItem struct {
	VolumeItem
	origin
}

var downwardItemTable = newTable("DownwardAPIVolumeFile",
	[]field[downwardItem]{
		{name: "path", note: "", read: func(r *reader, n node, i *downwardItem) { i.Path = r.below(n) }},
		{name: "fieldRef", note: "as in EnvVarSource; also all of metadata.labels and metadata.annotations", read: func(r *reader, n node, i *downwardItem) { readFieldRef(r, n, &i.origin) }},
		{name: "resourceFieldRef", note: "as in EnvVarSource", read: func(r *reader, n node, i *downwardItem) { readResourceRef(r, n, &i.origin) }},
		{name: "mode", note: "", read: func(r *reader, n node, i *downwardItem) { i.Mode = r.mode(n) }},
	},
)

// mode reads the mode of a file: YAML's 0644 is octal, JSON's 420 decimal.
func (r *reader) mode(n node) uint32 { return uint32(r.number(n, 0, 0o777)) }
