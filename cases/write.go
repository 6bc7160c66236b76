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
// because two items have one name, are an error, before anything is changed.
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
	if err := updateSettings(folder, path.Join(name, settings), o, outKeys); err != nil {
		return fmt.Errorf("case %s: %w", name, err)
	}
	out := path.Join(name, outFolder)
	if err := folder.RemoveAll(out); err != nil {
		return fmt.Errorf("case %s: %w", name, err)
	}
	for _, s := range o.Outputs {
		for _, it := range s.Items {
			if err := writeItem(folder, path.Join(out, s.Name, it.Name()), it); err != nil {
				return fmt.Errorf("case %s: %w", name, err)
			}
		}
	}
	return nil
}

func writeItem(folder *os.Root, file string, it *data.Item) error {
	if err := folder.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	return folder.WriteFile(file, it.Bytes(), 0o644)
}

// updateSettings writes case.json, or removes it if nothing is left to be said.
func updateSettings(folder *os.Root, file string, o *Outcome, outKeys map[string]uint32) error {
	members, keys := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	text, err := folder.ReadFile(file)
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
		if err := folder.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if text, err = json.MarshalIndent(members, "", "  "); err != nil {
		return err
	}
	return folder.WriteFile(file, append(text, '\n'), 0o644)
}
