package schemas

// Match is one endpoint that an event is for.
type Match struct {
	EndpointID     string
	Profile        string // the endpoint's profile and its version now: every attempt's body is made with these
	ProfileVersion int
	Skip           string // not empty: it matches but gets nothing, and this is why (SkipInactive, SkipUnverified, ReasonDisabled)
}
