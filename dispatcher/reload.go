package dispatcher

// Reload puts other limits in force for what is published and invoked from now
// on: Defaults, Maximum, MaxCode, QueueTimeout, Waiting, ProgramBytes and Run. The
// other fields of cfg are not looked at. What runs or waits keeps what it began
// with, and versions keep the limits that they were published with. After an
// error everything is as before.
func (d *Dispatcher) Reload(cfg Config) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	running := d.config.Load()
	next := *running
	next.Defaults, next.Maximum, next.MaxCode = cfg.Defaults, cfg.Maximum, cfg.MaxCode
	next.QueueTimeout, next.Waiting, next.ProgramBytes = cfg.QueueTimeout, cfg.Waiting, cfg.ProgramBytes
	next.Run = cfg.Run
	next, lowered, err := next.settle()
	if err != nil {
		return err
	}
	if lowered && next.Maximum.Memory != running.Maximum.Memory {
		next.tellLowered(d.log)
	}
	d.config.Store(&next)
	d.permits.bound(next.QueueTimeout, next.Waiting)
	d.bodies.bound(next.QueueTimeout, next.Waiting)
	d.programs.bound(next.CompileTimeout+next.QueueTimeout, next.ProgramBytes)
	return nil
}
