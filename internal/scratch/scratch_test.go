package scratch

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const prefix = "scratch-"

// keeperVariable makes a process of this program one that makes a folder and waits.
const keeperVariable = "SCRATCH_TEST_KEEPER"

func TestMain(m *testing.M) {
	if parent := os.Getenv(keeperVariable); parent != "" {
		os.Exit(keep(parent))
	}
	os.Exit(m.Run())
}

// keep makes a folder, names it, and waits until it is killed.
func keep(parent string) int {
	d, err := New(parent, prefix)
	if err != nil {
		return 1
	}
	if err := os.WriteFile(filepath.Join(d.Path, "left"), []byte("x"), 0o600); err != nil {
		return 1
	}
	if _, err := os.Stdout.WriteString(d.Path + "\n"); err != nil {
		return 1
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
	return 0
}

// keeper is another process with a folder.
func keeper(t *testing.T, parent string) (path string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), keeperVariable+"="+parent)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line[:len(line)-1], sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		_ = in.Close()
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// sweepIn makes a folder, which sweeps, and removes it.
func sweepIn(t *testing.T, parent string) {
	t.Helper()
	d, err := New(parent, prefix)
	if err == nil {
		err = d.Remove()
	}
	if err != nil || exists(d.Path) {
		t.Fatalf("%v", err)
	}
}

// What a process left that was killed is removed, and what one works in is not.
func TestKilled(t *testing.T) {
	parent := t.TempDir()
	path, kill := keeper(t, parent)
	defer kill()
	sweepIn(t, parent)
	if !exists(filepath.Join(path, "left")) {
		t.Fatal("the folder of a process that lives is gone")
	}
	kill()
	sweepIn(t, parent)
	if exists(path) {
		t.Error("the folder of a process that is gone is there")
	}
}

// In one process, too, a folder is in use until it is removed.
func TestHeldHere(t *testing.T) {
	parent := t.TempDir()
	d, err := New(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	sweepIn(t, parent)
	if !exists(d.Path) {
		t.Fatal("it is gone")
	}
	if err := d.Remove(); err != nil || exists(d.Path) {
		t.Errorf("%v", err)
	}
}

// What is not a folder that a process left stays, whatever its name.
func TestOthersStay(t *testing.T) {
	parent, outside := t.TempDir(), t.TempDir()
	old := time.Now().Add(-2 * unlocked)
	write := func(parts ...string) string {
		path := filepath.Join(parts...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(to string, parts ...string) string {
		path := filepath.Join(parts...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(to, path)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stays := []string{
		write(parent, prefix+"file"),
		write(parent, "other", lockFile),
		write(parent, prefix+"without-lock", "x"),
		write(outside, lockFile), write(outside, "x"),
		link(outside, parent, prefix+"link"),
		link(filepath.Join(outside, lockFile), parent, prefix+"linked-lock", lockFile),
		filepath.Join(parent, prefix+"new"),
	}
	for _, dir := range []string{"new", "empty"} {
		if err := os.Mkdir(filepath.Join(parent, prefix+dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	goes := []string{filepath.Join(parent, prefix+"empty"), filepath.Dir(write(parent, prefix+"left", lockFile)), filepath.Dir(write(parent, prefix+"more", lockFile))}
	// Of what is removed, links are, and not what they lead to.
	link(outside, parent, prefix+"more", "deep", "link")
	for _, dir := range []string{"empty", "without-lock"} {
		if err := os.Chtimes(filepath.Join(parent, prefix+dir), old, old); err != nil {
			t.Fatal(err)
		}
	}
	sweepIn(t, parent)
	for _, path := range stays {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	for _, path := range goes {
		if exists(path) {
			t.Errorf("%s is there", path)
		}
	}
}

// Folders of other users are theirs.
func TestOtherUsersStay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a folder to somebody")
	}
	parent := t.TempDir()
	theirs := filepath.Join(parent, prefix+"theirs")
	const nobody = 65534
	err := errors.Join(os.Mkdir(theirs, 0o777), os.WriteFile(filepath.Join(theirs, lockFile), nil, 0o666), os.Chown(theirs, nobody, nobody))
	if err != nil {
		t.Fatal(err)
	}
	sweepIn(t, parent)
	if !exists(filepath.Join(theirs, lockFile)) {
		t.Error("it is gone")
	}
}

// Many at the same time each keep their own.
func TestTogether(t *testing.T) {
	parent := t.TempDir()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		paths []string
	)
	for range 8 {
		group.Go(func() {
			for range 20 {
				d, err := New(parent, prefix)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				twice := slices.Contains(paths, d.Path)
				paths = append(paths, d.Path)
				mu.Unlock()
				if twice || !exists(filepath.Join(d.Path, lockFile)) {
					t.Errorf("%s is not its own", d.Path)
				}
				if err := d.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestNowhere(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "none"), prefix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
