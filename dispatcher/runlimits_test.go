package dispatcher

import (
	"strings"
	"testing"
	"time"
)

func TestRunLimitsSet(t *testing.T) {
	var l RunLimits
	for name, text := range map[string]string{"applications": "1", "instances": "2", "items": "3", "bytes": "4KiB", "nesting": "5", "time": "6s"} {
		if err := l.Set(name, text); err != nil {
			t.Errorf("%s=%s: %v", name, text, err)
		}
		for _, bad := range []string{"", "0", "-1", "x", "1.5", "99999999999999999999", "0s", "-1s"} {
			if err := l.Set(name, bad); err == nil {
				t.Errorf("%s=%s is accepted", name, bad)
			}
		}
	}
	if want := (RunLimits{1, 2, 3, 4 << 10, 5, 6 * time.Second}); l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
	if err := l.Set("nesting", "101"); err == nil {
		t.Error("a nesting of 101 is accepted")
	}
	if err := l.Set("instance", "1"); err == nil || !strings.Contains(err.Error(), "applications, instances, items, bytes, nesting, time") {
		t.Errorf("%v", err)
	}
	var again RunLimits
	l.Each(func(name, value string) {
		if err := again.Set(name, value); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	})
	if again != l {
		t.Errorf("%+v became %+v", l, again)
	}
}
