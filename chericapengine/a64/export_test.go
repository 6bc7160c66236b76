package a64

// Defined reports whether a word is an instruction that is implemented.
func Defined(w uint32) bool { return decode(w, 0).op != opUndefined }
