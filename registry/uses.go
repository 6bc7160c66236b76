package registry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// versionID names a version within a tenant.
type versionID struct {
	name   string
	number int64
}

func (id versionID) String() string { return id.name + "@" + strconv.FormatInt(id.number, 10) }

// maxTold is how many users an error lists.
const maxTold = 100

// usersOf finds those who use a name, among them those for whom tell has
// something to say: what it returns is what differs, and whether to list it.
func (r records) usersOf(tenant, name string, tell func(user versionID, use Use) (differs string, listed bool)) (list []User, more int, err error) {
	prefix := append(functionKey(tenant, name), 0)
	c := r.tx.Bucket(bucketUsers).Cursor()
	for k, b := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, b = c.Next() {
		rest := k[len(prefix):]
		at := len(rest) - 9
		if at < 1 || rest[at] != 0 {
			return nil, 0, damaged("user of " + name)
		}
		user := versionID{string(rest[:at]), int64(binary.BigEndian.Uint64(rest[at+1:]))}
		uses, err := decodeReferences(b, user)
		if err != nil {
			return nil, 0, err
		}
		for _, use := range uses {
			differs, listed := tell(user, use)
			switch {
			case !listed:
			case len(list) == maxTold:
				more++
			default:
				list = append(list, User{Name: user.name, Number: user.number, Ref: use.Ref(), Differs: differs})
			}
		}
	}
	return list, more, nil
}

// inUse returns an *InUseError if there are users of a name that match. It is
// asked in the transaction that has removed what, so that those who counted
// because of it don't.
func (r records) inUse(tenant, name, what string, matches func(Use) bool) error {
	list, more, err := r.usersOf(tenant, name, func(_ versionID, use Use) (string, bool) { return "", matches(use) })
	if err == nil && len(list) > 0 {
		err = &InUseError{What: what, Users: list, More: more}
	}
	return err
}

// setTags makes tags name v, of the name that f is the record of, and writes f.
// It keeps the promises that are made to compositions: what they use exists and
// has the sets that they were checked against, and none reaches itself.
func (r records) setTags(v *Version, f functionRecord, tags []string, force bool) error {
	moved := make(map[string]bool, len(tags))
	had := len(f.Tags)
	var left []int64
	for _, tag := range tags {
		was, ok := f.Tags[tag]
		if ok && was == v.Number {
			continue
		}
		moved[tag] = true
		if ok {
			left = append(left, was)
		}
		f.Tags[tag] = v.Number
	}
	if n := len(f.Tags); n > MaxTags && n > had {
		return fmt.Errorf("%w: %s would have %d, and the most is %d", ErrTooManyTags, v.Name, n, MaxTags)
	}
	if err := r.putFunction(v.Name, f); err != nil {
		return err
	}
	if v.Kind == KindComposition {
		if _, err := newWalk(r, v.Tenant, false).version(v); err != nil {
			return err
		}
		for _, number := range append(left, v.Number) {
			if err := r.settle(v.Tenant, versionID{v.Name, number}); err != nil {
				return err
			}
		}
	}
	if force || len(moved) == 0 {
		return nil
	}
	list, more, err := r.usersOf(v.Tenant, v.Name, func(_ versionID, use Use) (string, bool) {
		if !moved[use.follows()] {
			return "", false
		}
		differs := differences(use.Signature, v.Signature)
		return differs, differs != ""
	})
	if err == nil && len(list) > 0 {
		err = &BreaksError{Version: versionID{v.Name, v.Number}.String(), Users: list, More: more}
	}
	return err
}

// settle makes a composition count as a user of what it applies if, and only
// if, a tag names it or one that counts pins it.
func (r records) settle(tenant string, id versionID) error {
	f, err := r.function(tenant, id.name)
	if err != nil || f.Kind != KindComposition {
		return err
	}
	v, err := r.version(tenant, id.name, id.number)
	if err != nil {
		return err
	}
	counts := f.tagged(v.Number)
	if !counts {
		pins, _, err := r.usersOf(v.Tenant, v.Name, func(_ versionID, use Use) (string, bool) { return "", use.pins(v) })
		if err != nil {
			return err
		}
		counts = len(pins) > 0
	}
	return r.count(v, counts)
}

// count makes v a user of what it applies, or not, and settles what it pins.
func (r records) count(v *Version, counts bool) error {
	uses, err := r.references(v)
	if err != nil || len(uses) == 0 {
		return err
	}
	users := r.tx.Bucket(bucketUsers)
	if counted := users.Get(userKey(v, uses[0].Name)) != nil; counted == counts {
		return nil
	}
	byName := map[string][]Use{}
	for _, use := range uses {
		byName[use.Name] = append(byName[use.Name], use)
	}
	for name, uses := range byName {
		if !counts {
			if err := users.Delete(userKey(v, name)); err != nil {
				return err
			}
			continue
		}
		b, err := encodeReferences(uses)
		if err != nil {
			return err
		}
		if err := users.Put(userKey(v, name), b); err != nil {
			return err
		}
	}
	for _, use := range uses {
		if !use.pinned() {
			continue
		}
		target, err := r.resolve(v.Tenant, use.Ref())
		var missing *NotFoundError
		if errors.As(err, &missing) {
			continue // its removal was forced
		}
		if err != nil {
			return err
		}
		if err := r.settle(v.Tenant, versionID{target.Name, target.Number}); err != nil {
			return err
		}
	}
	return nil
}
