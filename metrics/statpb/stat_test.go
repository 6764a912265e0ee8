package statpb_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// The bytes are written by hand from the proto3 wire format: tag = field<<3 |
// type (0 varint, 1 eight bytes little endian, 2 length and bytes); zero
// values are left out.
var golden = []struct {
	name string
	m    proto.Message
	wire string
}{
	{"empty Stat", &statpb.Stat{}, ""},
	{"every field", fullStat(), fullStatWire},
	{
		"negative timestamp takes ten bytes", &statpb.Stat{Timestamp: -1},
		"38 ff ff ff ff ff ff ff ff ff 01",
	},
	{"an infinite double", &statpb.Stat{RequestCount: math.Inf(1)}, "21 00 00 00 00 00 00 f0 7f"},
	{
		"one revision", &statpb.WireStatMessage{Namespace: "ns", Name: "rev", Stat: &statpb.Stat{PodName: "p", RequestCount: 1}},
		"0a 02 6e 73  12 03 72 65 76  1a 0c  0a 01 70  21 00 00 00 00 00 00 f0 3f",
	},
	{
		"an all-zero report keeps its Stat", &statpb.WireStatMessages{Messages: []*statpb.WireStatMessage{{Namespace: "ns", Name: "rev", Stat: &statpb.Stat{}}}},
		"0a 0b  0a 02 6e 73  12 03 72 65 76  1a 00",
	},
	{
		"two revisions", &statpb.WireStatMessages{Messages: []*statpb.WireStatMessage{{Namespace: "a"}, {Name: "b"}}},
		"0a 03 0a 01 61  0a 03 12 01 62",
	},
}

func fullStat() *statpb.Stat {
	return &statpb.Stat{
		PodName: "pod", AverageConcurrentRequests: 1.5, AverageProxiedConcurrentRequests: 0.5,
		RequestCount: 2, ProxiedRequestCount: 1, ProcessUptime: 3, Timestamp: 300,
	}
}

const fullStatWire = "0a 03 70 6f 64" + // 1: "pod"
	"11 00 00 00 00 00 00 f8 3f" + // 2: 1.5
	"19 00 00 00 00 00 00 e0 3f" + // 3: 0.5
	"21 00 00 00 00 00 00 00 40" + // 4: 2
	"29 00 00 00 00 00 00 f0 3f" + // 5: 1
	"31 00 00 00 00 00 00 08 40" + // 6: 3
	"38 ac 02" // 7: 300

func TestGoldenBytes(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			wire, err := hex.DecodeString(strings.ReplaceAll(g.wire, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := proto.MarshalOptions{Deterministic: true}.Marshal(g.m)
			if err != nil || !bytes.Equal(got, wire) {
				t.Errorf("encoded % x (%v), want % x", got, err, wire)
			}
			back := g.m.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(wire, back); err != nil || !proto.Equal(back, g.m) {
				t.Errorf("decoded %v (%v), want %v", back, err, g.m)
			}
		})
	}
}

// A newer peer may send fields that we don't know.
func TestUnknownFieldsAreAccepted(t *testing.T) {
	var m statpb.Stat
	if err := proto.Unmarshal([]byte{0x0a, 1, 'p', 0x78, 7}, &m); err != nil || m.GetPodName() != "p" {
		t.Fatalf("got %v, %v", &m, err)
	}
}
