package delivery

// RetryNotice: the event that announces a retry, for profiles that have one.

import "github.com/hookstream/hookstream/schemas"

// RetryNotice is the event that the profile of a delivery wants published
// beside the retry that its outcome asks for; false for most. It may be asked
// for again with the same outcome and gives the same event, id included.
func (c *Courier) RetryNotice(d *schemas.Delivery, out *schemas.Outcome) (schemas.Event, bool) {
	p, ok := c.cfg.Profiles.At(out.Row.Profile, d.ProfileVersion)
	if !ok {
		return schemas.Event{}, false
	}
	return p.RetryNotice(d, out)
}
