package devstack

// The first question of clickhouse-go, answered by hand.

import (
	"encoding/binary"
	"strings"
)

// displayName is how the server names itself.
const displayName = "hookstream"

// helloQuery is what clickhouse-go asks first over HTTP.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// revisionCustomSerialization is the protocol revision from which a Native
// column carries a byte for custom serialization.
const revisionCustomSerialization = 54454

func isHello(text string) bool {
	return strings.TrimSpace(text) == helloQuery
}

// hello answers with revision 0. The client reads this one answer at its own
// revision, and everything after at the revision that it announces; the engine
// writes Native at revision 0 only.
func (h *handler) hello(revision uint64) []byte {
	var b []byte
	if revision > 0 { // block info: is_overflows, bucket_num
		b = append(b, 1, 0, 2)
		b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, 4) // columns
	b = binary.AppendUvarint(b, 1) // rows
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	column := func(name, kind string) {
		text(name)
		text(kind)
		if revision >= revisionCustomSerialization {
			b = append(b, 0)
		}
	}
	column("displayName()", "String")
	text(displayName)
	column("version()", "String")
	text(h.version)
	column("revision()", "UInt32")
	b = append(b, 0, 0, 0, 0)
	column("timezone()", "String")
	text(h.timezone)
	return b
}
