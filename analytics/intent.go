package analytics

// What the sink leaves in the offset-commit metadata before an insert, and the
// names of inserts: both are functions of the range alone, so that whoever
// comes next repeats the very same insert.

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// intent announces that the records from the committed offset up to last are
// being inserted. Until a later commit clears it, they may be stored already.
type intent struct {
	last   int64
	rows   int // records in the range, for people
	repair int // highest repair token that may have been used; 0: none
}

// Prefixes tell what we wrote from what Kafka clients put into the metadata of
// their own accord, such as a member id.
const (
	intentPrefix = "i1:"
	doubtPrefix  = "d1:"
)

// commitMeta is the metadata of a commit at offset: the intent of the range
// that begins there, if any, and the offset up to which tokens may have been
// used by inserts whose rows are gone. The latter has to outlive this process:
// until it is passed, an acknowledged insert proves nothing.
func commitMeta(offset int64, in *intent, doubtful int64) string {
	var parts []string
	if in != nil {
		parts = append(parts, fmt.Sprintf("%s%d:%d:%d", intentPrefix, in.last, in.rows, in.repair))
	}
	if doubtful >= offset {
		parts = append(parts, doubtPrefix+strconv.FormatInt(doubtful, 10))
	}
	return strings.Join(parts, ";")
}

// parseMeta reads commit metadata; whatever is not ours is no intent.
func parseMeta(meta string) (in *intent, doubtful int64) {
	doubtful = -1
	for part := range strings.SplitSeq(meta, ";") {
		if rest, ok := strings.CutPrefix(part, doubtPrefix); ok {
			if n, err := strconv.ParseInt(rest, 10, 64); err == nil {
				doubtful = n
			}
			continue
		}
		rest, ok := strings.CutPrefix(part, intentPrefix)
		if !ok {
			continue
		}
		fields := strings.Split(rest, ":")
		if len(fields) != 3 {
			continue
		}
		last, err1 := strconv.ParseInt(fields[0], 10, 64)
		rows, err2 := strconv.Atoi(fields[1])
		repair, err3 := strconv.Atoi(fields[2])
		if err1 == nil && err2 == nil && err3 == nil && last >= 0 && repair >= 0 {
			in = &intent{last: last, rows: rows, repair: repair}
		}
	}
	return in, doubtful
}

// source names a partition for good: a recreated topic starts at offset 0
// again, and its inserts must not be taken for repeats of the old one's.
type source struct {
	topic     string
	id        [16]byte
	partition int32
}

// column is the value of kafka_topic.
func (s source) column() string { return s.topic + "#" + hex.EncodeToString(s.id[:4]) }

// token names the insert of a range; repairs have tokens of their own.
func (s source) token(first, last int64, repair int) string {
	t := fmt.Sprintf("v1:%s:%d:%d-%d", hex.EncodeToString(s.id[:]), s.partition, first, last)
	if repair > 0 {
		t += ":r" + strconv.Itoa(repair)
	}
	return t
}
