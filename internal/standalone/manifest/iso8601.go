package manifest

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// isoDuration has the units of ISO 8601-1:2019 §5.5.2 that have a length of their own: no years and months.
var isoDuration = regexp.MustCompile(`^P(?:(\d+(?:[.,]\d+)?)W|(?:(\d+(?:[.,]\d+)?)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?)$`)

var isoUnits = [...]time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second}

// mostDuration bounds a duration: a longer one would be a mistake, and avoids an overflow.
const mostDuration = 366 * 24 * time.Hour

// parseDuration parses a duration of ISO 8601, such as PT0.2S.
func parseDuration(s string) (d time.Duration, ok bool) {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || s[len(s)-1] == 'P' || s[len(s)-1] == 'T' {
		return 0, false
	}
	var sum float64
	for i, unit := range isoUnits {
		if m[i+1] == "" {
			continue
		}
		// A comma is a decimal sign, too.
		n, err := strconv.ParseFloat(strings.Replace(m[i+1], ",", ".", 1), 64)
		if err != nil {
			return 0, false
		}
		sum += n * float64(unit)
	}
	if sum > float64(mostDuration) {
		return 0, false
	}
	return time.Duration(math.Round(sum)), true
}

func (r *reader) duration(n node) (d time.Duration) {
	s := r.text(n)
	d, ok := parseDuration(s)
	if !ok && r.schema == nil && n.Tag == "!!str" {
		r.errorf(n, "should be a duration of ISO 8601 such as PT0.2S, of a year at most and without years and months, is %q", s)
	}
	return d
}
