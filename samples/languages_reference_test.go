package samples_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// What the samples in other languages do, in Go.

type document struct{ name, content string }

// found is what search finds with these phrases and without those.
func found(texts []document, with, without [][]string) string {
	wordsOf := func(s string) []string {
		return regexp.MustCompile(`[0-9a-z\x{80}-\x{10FFFF}]+`).FindAllString(strings.ToLower(s), -1)
	}
	count := func(words, phrase []string) (n int) {
		for i := range len(words) - len(phrase) + 1 {
			if slices.Equal(words[i:i+len(phrase)], phrase) {
				n++
			}
		}
		return n
	}
	all := make([][]string, len(texts))
	total := 0
	for i, t := range texts {
		all[i] = wordsOf(t.content)
		total += len(all[i])
	}
	type hit struct {
		score float64
		line  string
	}
	var hits []hit
	for i, t := range texts {
		has := func(phrase []string) bool { return count(all[i], phrase) > 0 }
		if slices.ContainsFunc(without, has) || slices.ContainsFunc(with, func(p []string) bool { return !has(p) }) {
			continue
		}
		h, most := hit{}, 0
		for _, word := range slices.Concat(with...) {
			n := 0.0
			for _, words := range all {
				if count(words, []string{word}) > 0 {
					n++
				}
			}
			times, length := float64(count(all[i], []string{word})), float64(len(all[i]))*float64(len(texts))/float64(total)
			h.score += math.Log(1+(float64(len(texts))-n+0.5)/(n+0.5)) * times * 2.2 / (times + 1.2*(0.25+0.75*length))
		}
		for number, line := range strings.Split(t.content, "\n") {
			words := 0
			for _, word := range slices.Concat(with...) {
				words += count(wordsOf(line), []string{word})
			}
			if words > most {
				most, h.line = words, fmt.Sprintf("%s:%d:%s\n", t.name, number+1, strings.TrimSuffix(line, "\r"))
			}
		}
		hits = append(hits, h)
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	var lines bytes.Buffer
	for _, h := range hits {
		fmt.Fprintf(&lines, "%.3f %s", h.score, h.line)
	}
	return lines.String()
}

// apart is how far two words are apart, as suggest counts it: each of the ways to
// begin is tried.
func apart(a, b []rune) int {
	switch {
	case len(a) == 0 || len(b) == 0:
		return len(a) + len(b)
	case a[0] == b[0]:
		return apart(a[1:], b[1:])
	}
	d := 1 + min(apart(a[1:], b), apart(a, b[1:]), apart(a[1:], b[1:]))
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		d = min(d, 1+apart(a[2:], b[2:]))
	}
	return d
}

// suggested is the line that suggest has for a word.
func suggested(typed string, list []string) string {
	limit := 2
	if len([]rune(typed)) <= 4 {
		limit = 1
	}
	var near []string
	for d := range limit + 1 {
		for _, word := range list {
			if apart([]rune(typed), []rune(word)) == d {
				near = append(near, word)
			}
		}
		if d == 0 && len(near) > 0 {
			near = near[:1]
			break
		}
	}
	return typed + "\t" + strings.Join(near[:min(3, len(near))], " ") + "\n"
}
