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

// intentPrefix tells an intent from what Kafka clients put into the metadata of
// their own accord, such as a member id.
const intentPrefix = "i1:"

func (i intent) String() string {
	return fmt.Sprintf("%s%d:%d:%d", intentPrefix, i.last, i.rows, i.repair)
}

// parseIntent reads commit metadata; ok is false when it holds no intent.
func parseIntent(meta string) (i intent, ok bool) {
	rest, ok := strings.CutPrefix(meta, intentPrefix)
	if !ok {
		return intent{}, false
	}
	parts := strings.Split(rest, ":")
	if len(parts) != 3 {
		return intent{}, false
	}
	last, err1 := strconv.ParseInt(parts[0], 10, 64)
	rows, err2 := strconv.Atoi(parts[1])
	repair, err3 := strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil || last < 0 || repair < 0 {
		return intent{}, false
	}
	return intent{last: last, rows: rows, repair: repair}, true
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
