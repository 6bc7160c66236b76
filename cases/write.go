package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"pappus/data"
	"pappus/engine"
)

// Update makes an outcome what the case of that name in a folder of cases says:
// its outputs take the place of out, its end that of fault and exit_code in
// case.json. Inputs, their keys and limits stay. Outputs that files can't hold,
// because two items have one name or a name is too long, are an error, before
// anything is changed. Whatever ends the process in between, the case can be read
// afterwards, and updated again.
func Update(folder *os.Root, name string, o *Outcome) error {
	outKeys := map[string]uint32{}
	for _, s := range o.Outputs {
		seen := map[string]bool{}
		for _, it := range s.Items {
			switch file := it.Name(); {
			case !filepath.IsLocal(file) || path.Clean(file) != file || file == ".":
				return fmt.Errorf("case %s: the output %s/%.100q has a name that no file can have", name, s.Name, file)
			case seen[file]:
				return fmt.Errorf("case %s: two items of the output %s have the name %.100q, and files can't", name, s.Name, file)
			default:
				seen[file] = true
			}
			if it.Key() != 0 {
				outKeys[s.Name+"/"+it.Name()] = it.Key()
			}
		}
	}
	u := update{folder, name}
	err := folder.RemoveAll(u.made()) // of one that was ended
	if err == nil {
		err = u.make(o, outKeys)
	}
	if err == nil {
		err = u.take()
	}
	if err = errors.Join(err, folder.RemoveAll(u.made())); err != nil {
		return fmt.Errorf("case %s: %w", name, err)
	}
	return nil
}

// update is the update of a case. All of the new is made in a folder within the
// case before it takes the place of the old.
type update struct {
	folder *os.Root
	name   string // of the case
}

// before is the name of settings that say nothing of outputs: while these change,
// none fit.
const before = "before.json"

func (u update) at(file string) string { return path.Join(u.name, file) }
func (u update) made(f ...string) string {
	return path.Join(append([]string{u.name, updating}, f...)...)
}

// make makes what the outcome comes to.
func (u update) make(o *Outcome, outKeys map[string]uint32) error {
	if err := u.folder.Mkdir(u.made(), 0o755); err != nil {
		return err
	}
	for _, s := range o.Outputs {
		for _, it := range s.Items {
			if err := writeItem(u.folder, u.made(outFolder, s.Name, it.Name()), it); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		u.makeSettings(before, &Outcome{}, nil),
		u.makeSettings(settings, o, outKeys))
}

// take puts what is made in place.
func (u update) take() error {
	if err := u.replace(before, settings); err != nil {
		return err
	}
	const old = "old"
	err := u.folder.Rename(u.at(outFolder), u.made(old))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := u.folder.Rename(u.made(outFolder), u.at(outFolder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, u.folder.Rename(u.made(old), u.at(outFolder)))
	}
	return u.replace(settings, settings)
}

// replace puts a file that is made in place. If there is nothing to be said, and
// so no such file, there is none then.
func (u update) replace(made, file string) error {
	err := u.folder.Rename(u.made(made), u.at(file))
	if errors.Is(err, fs.ErrNotExist) {
		if err = u.folder.Remove(u.at(file)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return err
}

// writeItem writes a file that is new: where names differ by what the file system
// takes for the same, like case, it is not.
func writeItem(folder *os.Root, file string, it *data.Item) error {
	if err := folder.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := folder.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(it.Bytes())
	return errors.Join(err, f.Close())
}

// makeSettings makes a file of what case.json says with an outcome, if anything is
// left to be said.
func (u update) makeSettings(file string, o *Outcome, outKeys map[string]uint32) error {
	members, keys := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	text, err := u.folder.ReadFile(u.at(settings))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &members); err != nil {
			return err
		}
		if of, ok := members["keys"]; ok {
			if err := json.Unmarshal(of, &keys); err != nil {
				return err
			}
		}
	}
	set := func(members map[string]json.RawMessage, name string, value any, there bool) error {
		delete(members, name)
		if !there {
			return nil
		}
		text, err := json.Marshal(value)
		members[name] = text
		return err
	}
	var fault engine.FaultKind
	var code int32
	if o.Fault != nil {
		fault, code = o.Fault.Kind, o.Fault.ExitCode
	}
	err = errors.Join(
		set(keys, "out", outKeys, len(outKeys) > 0),
		set(members, "keys", keys, len(keys) > 0),
		set(members, "fault", fault, fault != "" && fault != engine.FaultExit),
		set(members, "exit_code", code, fault == engine.FaultExit))
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return nil
	}
	if text, err = json.MarshalIndent(members, "", "  "); err != nil {
		return err
	}
	return u.folder.WriteFile(u.made(file), append(text, '\n'), 0o644)
}
