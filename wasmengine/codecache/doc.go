// Package codecache keeps what compiling made in a folder on disk, so that it
// need not be made again. What it keeps is executed later as it is, so every
// entry lies under a seal, a MAC over all of it, and is checked whenever it is
// asked for.
//
// It owns the folder, the seal, the bound and the order of use. It knows
// nothing of what it keeps, and no other package of this project:
//
//	key              32 random bytes: the key of the seals
//	tmp/             folders that are being filled or removed; emptied by Open
//	v1/KEY-N/        an entry: KEY in hexadecimal, N any number
//	v1/KEY-N/seal    HMAC-SHA256 over key and files
//	v1/KEY-N/files/  what was put
//
// An entry never changes once it is in its place. One that takes another's
// place has another N, so whoever holds the old one keeps it as it was.
//
// The seal finds damage, and files put there by those who can write to the
// folder but not read the key. It can't help against who may do both, nor
// against who writes between the check and the use. A folder belongs to one
// process at a time, which the caller makes sure of.
//
// Nothing but the key is synced. After a loss of power an entry may be torn:
// its seal tells, and it is made again.
//
// The times of the seals are when entries were used last, to the minute
// after a crash and exactly after Close.
//
// Locks: Cache.mu, alone. It is never held while the disk is read or written.
package codecache
