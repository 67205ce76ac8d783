package consumer

// Joined is a member's readiness: it is in its group and works on what it was
// given, which is nothing where there are more members than partitions.

// Joined reports whether the member is in its group and has recovered the state
// of what it was assigned.
func (g *Group) Joined() bool { return g.joined.Load() }

// Joined reports whether this member is in the fan-out's group.
func (f *Fanout) Joined() bool { return f.group.Joined() }

// Joined reports whether this member is in the movers' group.
func (m *Mover) Joined() bool { return m.group.Joined() }

// Joined reports whether this member is in the dispatchers' group and its slots
// are recovered.
func (d *Dispatcher) Joined() bool { return d.group.Joined() }
