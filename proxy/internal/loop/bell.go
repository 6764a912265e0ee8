package loop

import "net"

// bell is the poller of a Loop that has no sockets: all its connections have goroutines.
type bell struct {
	loop *Loop
	rung chan struct{} // of one
	quit chan struct{}
	done chan struct{}
}

func newBell(l *Loop) *bell {
	return &bell{loop: l, rung: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

func (b *bell) run() {
	defer close(b.done)
	for {
		select {
		case <-b.rung:
			for b.loop.turn(nil) {
			}
		case <-b.quit:
			return
		}
	}
}

func (b *bell) wake() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

func (b *bell) adopt(net.Conn, Handler) *Conn { return nil }

func (b *bell) watch(*Conn) {}

func (b *bell) close() {
	close(b.quit)
	<-b.done
}
