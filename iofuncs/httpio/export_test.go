package httpio

// Ways is how many tenants have a way.
func Ways(c *Client) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ways)
}

// Unused has the time pass after which ways are left that nobody uses.
func Unused(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.ways {
		w.unused.Reset(0)
	}
}
