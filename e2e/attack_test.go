package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// apps of both protocols, which ignore that a request has been cut.
var stubbornApps = map[string][]string{"HTTP/2": nil, "HTTP/1.1": {"APP_HTTP1=1"}}

// slotHold is for how long the slot of a request that was cut is kept: see docs.
const slotHold = time.Second

// handlersWithin is how many handlers of an app may run at once under a limit of podLimit, when each one's request is cut and the
// handler goes on.
func (v *victim) handlersWithin(began time.Time) {
	v.t.Helper()
	most := podLimit * (2 + int(time.Since(began)/slotHold))
	n := v.handlers()
	v.t.Logf("%d handlers at once, %d are allowed", n, most)
	if n > most {
		v.t.Errorf("%d handlers at once, want %d at most", n, most)
	}
}

// CVE-2023-44487.
func TestAttackRapidReset(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, nil)
			began := time.Now()
			for range 2 { // within what is forgiven, and so slowly that each reaches the app if there is a slot
				a := attack(t, v.addr, true)
				for id := uint32(1); id < 150; id += 2 {
					a.open(id, a.head("GET", "/stubborn?d=3s"), true)
					a.send()
					time.Sleep(2 * time.Millisecond)
					_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
					a.send()
				}
			}
			a := attack(t, v.addr, true)
			for id := uint32(1); id < 4000; id += 2 {
				a.open(id, a.head("GET", "/stubborn?d=3s"), true)
				if !a.send() {
					break
				}
				_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
				if !a.send() {
					break
				}
			}
			a.calmed(http2.ErrCodeEnhanceYourCalm)
			v.end()
			v.handlersWithin(began)
		})
	}
}

// CVE-2025-8671: the proxy is made to reset.
func TestAttackMadeYouReset(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, nil)
			began := time.Now()
			a := attack(t, v.addr, true)
			for id := uint32(1); id < 4000; id += 2 {
				a.open(id, a.head("POST", "/stubborn?d=3s"), false)
				if !a.send() {
					break
				}
				switch id / 2 % 3 {
				case 0:
					_ = a.fr.WriteWindowUpdate(id, 1<<31-1)
				case 1:
					_ = a.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
				default:
					_ = a.fr.WritePriority(id, http2.PriorityParam{StreamDep: id})
				}
				if !a.send() {
					break
				}
			}
			a.calmed(http2.ErrCodeEnhanceYourCalm)
			v.end()
			v.handlersWithin(began)
		})
	}
}

// CVE-2024-27316, and heads that never end.
func TestAttackContinuation(t *testing.T) {
	v := newVictim(t, nil, nil)
	filler := []byte("\x00\x01x\x7f\x81\x7f") // a literal of 256 bytes
	filler = append(filler, strings.Repeat("x", 256)...)
	for _, size := range []int{0, 1, 16 << 10} {
		a := attack(t, v.addr, true)
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.head("GET", "/")})
		for range 4000 {
			_ = a.fr.WriteContinuation(1, false, slices.Repeat(filler, size/len(filler)+1)[:size])
			if !a.send() {
				break
			}
		}
		a.calmed(http2.ErrCodeEnhanceYourCalm)
	}
	v.end()
}

// Control frames of a client that reads nothing.
func TestAttackControlFrames(t *testing.T) {
	v := newVictim(t, nil, nil)
	for name, frame := range map[string]func(a *attacker){
		"SETTINGS": func(a *attacker) { _ = a.fr.WriteSettings() },
		"PING":     func(a *attacker) { _ = a.fr.WritePing(false, [8]byte{}) },
		"PRIORITY": func(a *attacker) { _ = a.fr.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		"unknown":  func(a *attacker) { _ = a.fr.WriteRawFrame(0xbb, 0, 1, nil) },
		"window":   func(a *attacker) { _ = a.fr.WriteWindowUpdate(0, 1) },
		"closed":   func(a *attacker) { _ = a.fr.WriteRSTStream(1, http2.ErrCodeCancel) },
		"flips": func(a *attacker) {
			_ = a.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			_ = a.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		},
	} {
		for _, reads := range []bool{true, false} {
			a := attack(t, v.addr, reads)
			a.open(1, a.head("GET", "/"), true)
			if a.send(); name == "closed" {
				time.Sleep(50 * time.Millisecond)
			}
			a.flood(name, frame)
			if reads {
				a.calmed(http2.ErrCodeEnhanceYourCalm)
			}
		}
	}
	v.end()
}

// DATA with next to nothing in it.
func TestAttackTinyData(t *testing.T) {
	v := newVictim(t, nil, nil)
	for name, frame := range map[string]func(a *attacker){
		"empty":   func(a *attacker) { _ = a.fr.WriteData(1, false, nil) },
		"byte":    func(a *attacker) { _ = a.fr.WriteData(1, false, []byte{1}) },
		"padding": func(a *attacker) { _ = a.fr.WriteDataPadded(1, false, []byte{1}, make([]byte, 255)) },
	} {
		a := attack(t, v.addr, true)
		a.open(1, a.head("POST", "/upload"), false)
		a.flood(name, frame)
		a.calmed(http2.ErrCodeEnhanceYourCalm)
	}
	v.end()
}

// flood sends frames until the connection has ended.
func (a *attacker) flood(name string, frame func(a *attacker)) {
	a.t.Helper()
	for began := time.Now(); ; {
		for range 100 {
			frame(a)
		}
		if !a.send() {
			return
		}
		if time.Since(began) > patience {
			a.t.Fatalf("%s: no end", name)
		}
	}
}

// unlimited is a pod without a limit of requests, whose queue-proxy has a small bound of memory for them: an address has half of it.
var unlimited = []string{"CONTAINER_CONCURRENCY=0", "SLUICE_MAX_HELD_BYTES=8Mi"}

// heldAllows is how much memory may grow by then: as much as is held again is garbage that waits for its collection (GOGC), and there are
// the connections and their dials.
const heldAllows = 32 << 20

// Answers that their clients don't take keep no slot.
func TestAttackClosedWindows(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, nil)
			a := attack(t, v.addr, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for id := uint32(1); id < 100; id += 2 {
				a.open(id, a.head("GET", "/"), true)
			}
			a.send()
			a.has("the heads", func(g *got) bool { return len(g.statuses) == 50 })
			time.Sleep(300 * time.Millisecond)
			v.end()
		})
	}
}

// What is refused, and can't be told so since the windows are closed.
func TestAttackWindowZero(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, unlimited)
			v.allows = heldAllows
			for range 20 {
				a := attack(t, v.addr, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for i := range uint32(100) {
					a.open(2*i+1, a.head("GET", "/stubborn?d=2s", "x-large", strings.Repeat("x", 50_000)), true)
					if i%50 == 0 && !a.send() {
						break
					}
				}
				a.send()
			}
			time.Sleep(500 * time.Millisecond)
			v.end()
		})
	}
}

// What a few bytes stand for: fields of a table, of which one cookie is made.
func TestAttackBomb(t *testing.T) {
	v := newVictim(t, nil, unlimited)
	v.allows = heldAllows
	crumbs := slices.Repeat([]string{"cookie", strings.Repeat("x", 3000)}, 80)
	for range 10 {
		a := attack(t, v.addr, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range uint32(1000) {
			a.open(2*i+1, a.head("POST", "/stubborn?d=2s", crumbs...), false)
		}
		a.send()
		a.calmed(http2.ErrCodeEnhanceYourCalm)
	}
	v.end()
}

// Answers that nobody reads.
func TestAttackStalledDownloads(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, unlimited)
			v.allows = heldAllows
			for range 2 {
				a := attack(t, v.addr, true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for i := range uint32(125) {
					a.open(2*i+1, a.head("GET", "/download?n=10000000"), true)
				}
				a.send()
			}
			time.Sleep(1500 * time.Millisecond)
			v.end()
		})
	}
}

// Bodies that the app doesn't read.
func TestAttackStalledUploads(t *testing.T) {
	for name, env := range stubbornApps {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, env, unlimited)
			v.allows = heldAllows
			a := attack(t, v.addr, true)
			for i := range uint32(200) {
				a.open(2*i+1, a.head("POST", "/stubborn?d=2s"), false)
				for range 64 {
					_ = a.fr.WriteData(2*i+1, false, make([]byte, 16<<10))
				}
				if !a.send() {
					break
				}
			}
			time.Sleep(500 * time.Millisecond)
			v.end()
		})
	}
}

// SIGTERM while a client opens a stream each 5 ms (envoy#39876): none is lost, and the client learns in time to go elsewhere.
func TestAttackDrainLosesNoStream(t *testing.T) {
	v := newVictim(t, nil, nil)
	v.end()
	a := attack(t, v.addr, true)
	opened := uint32(0)
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		told, acks := len(a.got.goAways) > 0, a.got.pings
		a.got.pings = nil
		a.mu.Unlock()
		for range 3 { // are on their way before the client knows
			if told {
				opened++
				a.open(2*opened-1, a.head("GET", "/"), true)
			}
		}
		for _, data := range acks {
			_ = a.fr.WritePing(true, data)
		}
		if told {
			break
		}
		if opened++; opened == 20 {
			_ = v.qp.cmd.Process.Signal(syscall.SIGTERM)
		}
		a.open(2*opened-1, a.head("GET", "/sleep?d=50ms"), true)
		a.send()
	}
	a.send()
	a.has("all answers, and the end", func(g *got) bool { return g.closed })
	t.Logf("%d streams, GOAWAYs %v", opened, a.got.goAways)
	first, last := a.got.goAways[0], a.got.goAways[len(a.got.goAways)-1]
	if len(a.got.goAways) < 2 || first != (goAway{1<<31 - 1, http2.ErrCodeNo}) || last != (goAway{2*opened - 1, http2.ErrCodeNo}) {
		t.Errorf("GOAWAYs %v", a.got.goAways)
	}
	for id := uint32(1); id < 2*opened; id += 2 {
		if a.got.statuses[id] != "200" || !a.got.ended[id] {
			t.Errorf("stream %d of %d has %q", id, opened, a.got.statuses[id])
		}
	}
}
