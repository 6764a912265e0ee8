package queueproxy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// listening returns the TCP addresses on which other processes of the network namespace listen, from /proc/net/tcp and
// tcp6 (https://docs.kernel.org/networking/proc_net_tcp.html). It leaves out what it can't read.
func listening() (all []netip.AddrPort) {
	own := ownSockets()
	for _, name := range [...]string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		table, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(table) {
			if addr, inode, ok := listener(string(line)); ok && !own[inode] {
				all = append(all, addr)
			}
		}
	}
	return all
}

// listener parses a line of the table: the second field is the local address, the fourth the state, the tenth the inode.
func listener(line string) (addr netip.AddrPort, inode string, ok bool) {
	const listen = "0A" // TCP_LISTEN
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != listen {
		return addr, "", false
	}
	host, port, _ := strings.Cut(fields[1], ":")
	raw, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return addr, "", false
	}
	for word := raw; len(word) > 0; word = word[4:] { // words of 32 bits, each in the byte order of the machine
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), fields[9], ok
}

// ownSockets are the inodes of this process's sockets.
func ownSockets() map[string]bool {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	own := map[string]bool{}
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return own
}
