package h2

import "encoding/binary"

// settings are the peer's (RFC 9113 §6.5.2), as far as they matter to us.
type settings struct {
	known   bool // the first have come
	connect bool // extended CONNECT is taken (RFC 8441 §3)
	table   uint32
	window  int32
	streams uint32
}

const (
	settingTable   = 0x1
	settingPush    = 0x2
	settingStreams = 0x3
	settingWindow  = 0x4
	settingFrame   = 0x5
	settingHead    = 0x6
	settingConnect = 0x8
)

// read takes over a frame's payload. It returns what is wrong with it, or "". server: it is a server's.
func (s *settings) read(p []byte, server bool) (code Code, wrong string) {
	for ; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case settingTable:
			s.table = value
		case settingPush:
			if value > 1 || server && value == 1 {
				return ProtocolError, "malformed SETTINGS_ENABLE_PUSH"
			}
		case settingStreams:
			s.streams = value
		case settingWindow:
			if value > maxWindow {
				return FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE of more than 2^31-1"
			}
			s.window = int32(value)
		case settingFrame: // ours never are larger than the least that may be said
			if value < maxFrame || value >= 1<<24 {
				return ProtocolError, "malformed SETTINGS_MAX_FRAME_SIZE"
			}
		case settingConnect:
			if value > 1 || s.connect && value == 0 {
				return ProtocolError, "malformed SETTINGS_ENABLE_CONNECT_PROTOCOL"
			}
			s.connect = value == 1
		}
	}
	return NoError, ""
}

// appendSettings appends our own SETTINGS.
func (c *Config) appendSettings(b []byte) []byte {
	start := len(b)
	b = frame{kind: frameSettings}.appendTo(b)
	add := func(id uint16, value uint32) {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
	}
	if c.Client {
		add(settingPush, 0)
	} else {
		add(settingStreams, c.MaxStreams)
	}
	add(settingWindow, uint32(c.StreamWindow))
	add(settingHead, uint32(c.MaxHead))
	if c.Connect && !c.Client {
		add(settingConnect, 1)
	}
	frame{length: len(b) - start - frameHeader, kind: frameSettings}.appendTo(b[:start])
	return b
}
