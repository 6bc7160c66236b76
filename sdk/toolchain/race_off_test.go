//go:build !race

package toolchain

const raceEnabled = false
