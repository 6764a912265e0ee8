package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rebind gives an app that binds the port from the port to instead, and has it see its own. The kernel stops the app's calls of
// bind(2) and getsockname(2), tells this process, and returns to the app what this process answers: seccomp_unotify(2). So the app
// keeps its user, its files and its network, and any other call is as fast as before.
type rebind struct {
	from, to int
	ours     int           // socket over which the app's process sends the descriptor of its calls
	theirs   *os.File      // the other end
	made     bool          // a call of bind has been made for the app
	done     chan struct{} // closed after made is final
}

// socketFD is the descriptor of theirs in the app's process, which closes it as it becomes the app.
const socketFD = 3

// rebinding has a command that hands over its calls of bind hand them to the result. When it has been started serve has to be
// called, or else close.
func rebinding(cmd *exec.Cmd, from, to int) (*rebind, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	r := &rebind{from: from, to: to, ours: fds[0], theirs: os.NewFile(uintptr(fds[1]), "bind"), done: make(chan struct{})}
	cmd.ExtraFiles = []*os.File{r.theirs}
	return r, nil
}

// serve answers the calls until all processes of the app have ended.
func (r *rebind) serve() {
	r.theirs.Close()
	go func() {
		defer close(r.done)
		defer unix.Close(r.ours)
		calls, err := r.receive()
		if err != nil {
			return // it hasn't become the app, and says why
		}
		defer unix.Close(calls)
		for {
			fds := []unix.PollFd{{Fd: int32(calls), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			switch {
			case fds[0].Revents&unix.POLLIN != 0:
				r.answer(calls)
			case fds[0].Revents != 0: // POLLHUP since Linux 5.9: nobody is left to call
				return
			}
		}
	}()
}

// close is for a command that can't be started.
func (r *rebind) close() {
	r.theirs.Close()
	unix.Close(r.ours)
}

func (r *rebind) receive() (fd int, err error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(r.ours, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) == 0 {
		return 0, errors.Join(err, errors.New("no descriptor"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// call is struct seccomp_notif, and answer struct seccomp_notif_resp, of linux/seccomp.h.
type call struct {
	id         uint64
	pid, flags uint32
	nr, arch   uint32
	ip         uint64
	args       [6]uint64
}

type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

func ioctl(fd int, request uint, at unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(at)); errno != 0 {
		return errno
	}
	return nil
}

// answer answers one call. The app makes those itself that are about another port or kind of address, and those that can't be
// made for it.
func (r *rebind) answer(calls int) {
	var c call
	if ioctl(calls, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c)) != nil {
		return // its process has ended
	}
	a := answer{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	do := r.bind
	if c.nr == unix.SYS_GETSOCKNAME {
		do = r.tell
	}
	if fd, err := descriptorOf(int(c.pid), int(c.args[0])); err == nil {
		if ioctl(calls, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&c.id)) == nil { // the PID is still the app's
			if errno, done := do(fd, &c); done {
				a.flags, a.errno = 0, -int32(errno)
			}
		}
		unix.Close(fd)
	}
	_ = ioctl(calls, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)) // fails if its process has ended
}

// bind binds fd for a call of bind(fd, address, length) if that is about the port.
func (r *rebind) bind(fd int, c *call) (errno syscall.Errno, done bool) {
	raw := make([]byte, min(c.args[2], unix.SizeofSockaddrInet6))
	if len(raw) < unix.SizeofSockaddrInet4 || !c.read(c.args[1], raw) || int(binary.BigEndian.Uint16(raw[2:])) != r.from {
		return 0, false
	}
	var addr unix.Sockaddr
	switch binary.NativeEndian.Uint16(raw) { // struct sockaddr_in and sockaddr_in6: ip(7), ipv6(7)
	case unix.AF_INET:
		addr = &unix.SockaddrInet4{Port: r.to, Addr: [4]byte(raw[4:8])}
	case unix.AF_INET6:
		if len(raw) < unix.SizeofSockaddrInet6 {
			return 0, false
		}
		addr = &unix.SockaddrInet6{Port: r.to, Addr: [16]byte(raw[8:24]), ZoneId: binary.NativeEndian.Uint32(raw[24:])}
	default:
		return 0, false
	}
	err := unix.Bind(fd, addr)
	if _, port := nameOf(fd); errors.Is(err, unix.EINVAL) && port == r.to { // a signal has interrupted the call, which is made again
		return 0, true
	}
	errno, _ = errors.AsType[syscall.Errno](err)
	r.made = true
	return errno, true
}

// tell answers getsockname(fd, address, length) with the port that the app has asked for: node's workers insist on it.
func (r *rebind) tell(fd int, c *call) (errno syscall.Errno, done bool) {
	name, port := nameOf(fd)
	room := make([]byte, 4)
	if port != r.to || !c.read(c.args[2], room) {
		return 0, false
	}
	binary.BigEndian.PutUint16(name[2:], uint16(r.from))
	space := min(int(binary.NativeEndian.Uint32(room)), len(name))
	binary.NativeEndian.PutUint32(room, uint32(len(name)))
	return 0, c.write(c.args[1], name[:space]) && c.write(c.args[2], room)
}

// nameOf returns the local address of a socket of IPv4 or IPv6, as the kernel has it, and its port; 0: it is of another kind.
func nameOf(fd int) (raw []byte, port int) {
	switch a, _ := unix.Getsockname(fd); a := a.(type) {
	case *unix.SockaddrInet4:
		raw, port = make([]byte, unix.SizeofSockaddrInet4), a.Port
		binary.NativeEndian.PutUint16(raw, unix.AF_INET)
		copy(raw[4:], a.Addr[:])
	case *unix.SockaddrInet6:
		raw, port = make([]byte, unix.SizeofSockaddrInet6), a.Port
		binary.NativeEndian.PutUint16(raw, unix.AF_INET6)
		copy(raw[8:], a.Addr[:])
		binary.NativeEndian.PutUint32(raw[24:], a.ZoneId)
	default:
		return nil, 0
	}
	binary.BigEndian.PutUint16(raw[2:], uint16(port))
	return raw, port
}

// read reads the caller's memory.
func (c *call) read(at uint64, to []byte) bool { return c.move(unix.ProcessVMReadv, at, to) }

// write writes the caller's memory.
func (c *call) write(at uint64, from []byte) bool { return c.move(unix.ProcessVMWritev, at, from) }

func (c *call) move(how func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error), at uint64, own []byte) bool {
	if len(own) == 0 {
		return true
	}
	local := []unix.Iovec{{Base: &own[0]}}
	local[0].SetLen(len(own))
	n, err := how(int(c.pid), local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(own)}}, 0)
	return err == nil && n == len(own)
}

// descriptorOf returns a duplicate of a descriptor of the process that a thread belongs to.
func descriptorOf(thread, fd int) (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(thread) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nTgid:")
	line, _, _ := strings.Cut(rest, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(process)
	return unix.PidfdGetfd(process, fd, 0)
}

// arch is AUDIT_ARCH_… of this binary, by GOARCH.
var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64}

// filtered has those calls of this thread, and of all that it starts and becomes, sent to the result.
func filtered() (calls int, err error) {
	own, known := arch[runtime.GOARCH]
	if !known {
		return 0, errors.New("not on " + runtime.GOARCH)
	}
	const nr, of = 0, 4 // offsets in struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: of},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: own, Jf: 4},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_BIND, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_GETSOCKNAME, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	install := func() (uintptr, syscall.Errno) {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&program)))
		return fd, errno
	}
	fd, errno := install()
	if errno == unix.EACCES { // without CAP_SYS_ADMIN a process has to give up what set-user-ID programs would give it
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 0, err
		}
		fd, errno = install()
	}
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

// handOver sends this process' calls of bind to the socket, and becomes the program in args; without args it tries whether that
// works.
func handOver(args []string) error {
	runtime.LockOSThread() // which becomes the program
	unix.CloseOnExec(socketFD)
	calls, err := filtered() // is closed by exec
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(socketFD, []byte{0}, unix.UnixRights(calls), nil, 0); err != nil {
		return err
	}
	if len(args) > 0 {
		return become(args)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: triedPort, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// triedPort is a port that nobody listens on.
const triedPort = 1

// CanRebind returns why Spec.Binds has no effect on this machine; nil: it has. It blocks while it tries, for some milliseconds.
func CanRebind() error { return rebinds() }

var rebinds = sync.OnceValue(func() error {
	self, err := Self()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{SupervisorName, rebinder}
	var said bytes.Buffer
	cmd.Stderr = &said
	r, err := rebinding(cmd, triedPort, 0)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		r.close()
		return err
	}
	r.serve()
	if err := cmd.Wait(); err != nil {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(said.String()), SupervisorName+": "))
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return errors.New("the kernel is older than 5.9")
	}
	if !r.made {
		return errors.New("a process may not make another's calls here")
	}
	return nil
})

const tryLimit = 5 * time.Second
