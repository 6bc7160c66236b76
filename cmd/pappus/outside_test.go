package main

import (
	"testing"
)

// Rules are of the tenants that they name.
func TestRulesOfTenants(t *testing.T) {
	for _, c := range []struct {
		allow, deny []string
		want        map[string]string
	}{
		{nil, nil, map[string]string{"default": "", "other": ""}},
		{
			[]string{"127.0.0.1", "other@10.0.0.1:80", "*@10.0.0.2"}, []string{"*", "third@1.1.1.1"},
			map[string]string{
				"default": "allow 10.0.0.2, allow 127.0.0.1, deny *", "other": "allow 10.0.0.1:80, allow 10.0.0.2",
				"third": "allow 10.0.0.2, deny 1.1.1.1", "nobody": "allow 10.0.0.2",
			},
		},
		{[]string{"a.b-c_D@x"}, nil, map[string]string{"a.b-c_D": "allow x", "default": ""}},
	} {
		all, err := policies(c.allow, c.deny)
		if err != nil {
			t.Error(err)
			continue
		}
		for tenant, want := range c.want {
			if got := all(tenant).String(); got != want {
				t.Errorf("%v, %v of %s: %q, want %q", c.allow, c.deny, tenant, got, want)
			}
		}
	}
	for _, text := range []string{"@x", "a b@x", "a@", "a@b@c", "-a@x", "a/b@x", "x@http://y"} {
		if checkRule(text) == nil {
			t.Errorf("%q is a rule", text)
		}
	}
	if checkAllowed("a@*") == nil {
		t.Error("a tenant can be allowed everything")
	}
}
