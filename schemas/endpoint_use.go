package schemas

// EndpointUse says when an implicit endpoint was last sent to, and an idle
// tombstone removes one that was not for long.

import (
	"strconv"
	"time"
)

// UseKeySuffix makes the key of an endpoint's use row.
const UseKeySuffix = "#used"

// EndpointUse is the row under ID + "#used", for the endpoints of callback URLs
// only. It has a key of its own, because writing the endpoint's row again would
// end its status.
type EndpointUse struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// Record writes the use row beside its endpoint, in the same partition.
func (u *EndpointUse) Record(t Topology) (Record, error) {
	return registryRecord(t.EndpointsTopic(), t.RegistryPartition(u.ID), u.ID+UseKeySuffix, u, nil)
}

// hdrIdleSince marks an idle tombstone; its value is Unix milliseconds.
const hdrIdleSince = "hs-idle-since"

// IdleTombstone removes an endpoint provided that it was not used after since.
// Readers hold it against the uses before it in the log, so that a use on
// another node in the same moment wins on all of them.
func IdleTombstone(t Topology, id string, since time.Time) Record {
	rec := EndpointTombstone(t, id)
	rec.Headers = []Header{{Key: hdrIdleSince, Value: strconv.AppendInt(nil, since.UnixMilli(), 10)}}
	return rec
}

// IdleSince is the condition of an idle tombstone; false for any other record.
func IdleSince(rec *Record) (time.Time, bool) {
	for _, h := range rec.Headers {
		if h.Key == hdrIdleSince {
			ms, err := strconv.ParseInt(string(h.Value), 10, 64)
			return time.UnixMilli(ms).UTC(), err == nil
		}
	}
	return time.Time{}, false
}
