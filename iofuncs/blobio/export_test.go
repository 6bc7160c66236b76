package blobio

// Keys are the keys and prefixes that an item has as a ref of each use.
func Keys(content []byte) (keys []string) {
	for _, what := range []use{forGet, forPut, forList} {
		if r, err := parseRef(content, what); err == nil {
			keys = append(keys, r.key, r.after)
		}
	}
	return keys
}
