package cloudevent

import (
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// check holds an attribute to the specification's type system and to what it says of the attributes that it defines.
func (p pair) check(version string) error {
	if err := checkName(p.name); err != nil {
		return err
	}
	if err := checkString(p.value); err != nil {
		return err
	}
	switch p.name {
	case "id", "type", "subject":
		if p.value == "" {
			return errors.New("is empty")
		}
	case "source":
		return checkURI(p.value, false)
	case "dataschema":
		if version == "1.0" {
			return checkURI(p.value, true)
		}
	case "schemaurl":
		if version == "0.3" {
			return checkURI(p.value, false)
		}
	case "time":
		return checkTime(p.value)
	case "datacontentencoding":
		if version == "0.3" { // of base64 in JSON, this attribute doesn't remain
			return fmt.Errorf("%s: data may be in base64 in structured mode, and is as it is in binary mode", quote(p.value))
		}
	case "datacontenttype":
		return checkMediaType(p.value)
	}
	return nil
}

// checkName: CloudEvents 1.0.2, "Naming conventions".
func checkName(name string) error {
	if name == "" || len(name) > longestName {
		return fmt.Errorf("the name of an attribute has 1 to %d characters", longestName)
	}
	if name == "data" {
		return errors.New("data is no name of an attribute")
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return errors.New("the name of an attribute has the letters a to z and digits only")
		}
	}
	return nil
}

// checkString: CloudEvents 1.0.2, "Type system", String.
func checkString(value string) error {
	if len(value) > longestValue {
		return fmt.Errorf("has %d bytes, and an attribute may have %d", len(value), longestValue)
	}
	for i := 0; i < len(value); {
		if c := value[i]; c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(value[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Errorf("byte %d is not UTF-8", i)
		case r < ' ', r >= 0x7f && r <= 0x9f:
			return fmt.Errorf("has a control character, %U, at byte %d", r, i)
		case r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
			return fmt.Errorf("has %U, which is no character, at byte %d", r, i)
		}
		i += size
	}
	return nil
}

func checkURI(value string, absolute bool) error {
	if value == "" {
		return errors.New("is empty")
	}
	u, err := url.Parse(value)
	if err != nil {
		return fmt.Errorf("%s is no URI: %w", quote(value), errors.Unwrap(err))
	}
	if absolute && !u.IsAbs() {
		return fmt.Errorf("%s is no absolute URI, like https://example.com/schema", quote(value))
	}
	return nil
}

func checkTime(value string) error {
	// time.Parse takes hours of one digit and commas too.
	_, err := time.Parse(time.RFC3339, value)
	if err != nil || value[len("2006-01-02T15")] != ':' || value[len("2006-01-02T15:04:05")] == ',' {
		return fmt.Errorf("%s is no time of RFC 3339, like 2018-04-05T17:31:00Z", quote(value))
	}
	return nil
}

// checkMediaType: RFC 2046. It is in a header without being encoded.
func checkMediaType(value string) error {
	if value == "application/json" {
		return nil
	}
	if hasPrefixFold(value, "application/cloudevents") {
		return fmt.Errorf("%s would make a sink take the data for the event", quote(value)) // HTTP binding 1.0.2 §3
	}
	kind, _, err := mime.ParseMediaType(value)
	if err != nil || !strings.Contains(kind, "/") || strings.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		return fmt.Errorf("%s is no media type, like application/json", quote(value))
	}
	return nil
}

// quote shows a value of unknown length in an error.
func quote(value string) string {
	const longest = 64
	if len(value) > longest {
		return fmt.Sprintf("%q…", value[:longest])
	}
	return fmt.Sprintf("%q", value)
}
