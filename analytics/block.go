package analytics

// One insert's rows of one table, column by column, with the buffers kept from
// insert to insert.

import "time"

// column is one column of a block, whatever its type.
type column interface {
	name() string
	values() any         // the typed slice, as the driver takes it
	pick(keep []int) any // a new slice of these rows
	reset()              // forget the rows, keep the memory
}

// vec is a column of one type.
type vec[T any] struct {
	title string
	v     []T
}

func (c *vec[T]) name() string { return c.title }
func (c *vec[T]) add(x T)      { c.v = append(c.v, x) }
func (c *vec[T]) values() any  { return c.v }

func (c *vec[T]) pick(keep []int) any {
	out := make([]T, 0, len(keep))
	for _, i := range keep {
		out = append(out, c.v[i])
	}
	return out
}

func (c *vec[T]) reset() {
	clear(c.v) // let go of strings and data
	c.v = c.v[:0]
}

// tableSpec is what the sink has to know of a table beside its columns.
type tableSpec struct {
	name      string               // without the database
	time      string               // the column that partitions and expires rows
	retention time.Duration        // its TTL
	part      func(ms int64) int64 // the table partition that a time falls into
}

// weekly is the number of the week, beginning on Monday, as toMonday cuts them.
func weekly(ms int64) int64 {
	days := floorDiv(ms, 24*60*60*1000)
	return floorDiv(days+3, 7) // 1970-01-01 was a Thursday
}

// monthly is the number of the month in UTC, as toYYYYMM cuts them.
func monthly(ms int64) int64 {
	t := time.UnixMilli(ms).UTC()
	return int64(t.Year())*12 + int64(t.Month())
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// block holds rows on their way into one table. Row i came from offsets[i] and
// is partitioned by times[i].
type block struct {
	spec    tableSpec
	cols    []column
	offsets []uint64
	times   []int64
}

// col adds a column; it is called while a block is built, in any order.
func col[T any](b *block, name string) *vec[T] {
	c := &vec[T]{title: name}
	b.cols = append(b.cols, c)
	return c
}

func (b *block) rows() int { return len(b.offsets) }

func (b *block) reset() {
	for _, c := range b.cols {
		c.reset()
	}
	b.offsets, b.times = b.offsets[:0], b.times[:0]
}

// span is the first and last time of the rows, for pruning a read of them.
func (b *block) span() (lo, hi int64) {
	for i, t := range b.times {
		if i == 0 || t < lo {
			lo = t
		}
		if i == 0 || t > hi {
			hi = t
		}
	}
	return lo, hi
}

// expired says whether ClickHouse drops row i at its insert, because its TTL
// has passed or is about to. Such a row cannot be read back.
func (b *block) expired(i int, now time.Time) bool {
	return time.UnixMilli(b.times[i]).Add(b.spec.retention - 24*time.Hour).Before(now)
}

// place is where a row's record lies in Kafka.
type place struct {
	topic     string // name # first 8 hex digits of the topic id
	partition int32
	offset    int64
	time      int64 // the broker's time of the record, Unix ms
}

// position are the columns that every table has.
type position struct {
	topic     *vec[string]
	partition *vec[uint32]
	offset    *vec[uint64]
}

func positionColumns(b *block) position {
	return position{topic: col[string](b, "kafka_topic"), partition: col[uint32](b, "kafka_partition"), offset: col[uint64](b, "kafka_offset")}
}

func (p position) add(b *block, at place, ms int64) {
	p.topic.add(at.topic)
	p.partition.add(uint32(at.partition))
	p.offset.add(uint64(at.offset))
	b.offsets = append(b.offsets, uint64(at.offset))
	b.times = append(b.times, ms)
}

// Bounds of times that the tables can hold, in Unix ms.
const (
	minMillis = 0
	maxMillis = 4102444800000 // 2100-01-01: below the end of DateTime
)

// clampMillis keeps a time within what every column can hold; a broken one must
// not stop the rows beside it.
func clampMillis(ms int64) int64 { return min(max(ms, minMillis), maxMillis) }

// firstMillis is the first time that is given at all.
func firstMillis(ms ...int64) int64 {
	for _, t := range ms {
		if t > 0 {
			return clampMillis(t)
		}
	}
	return 0
}

func clamp[T uint16 | uint32](n int64) T {
	top := int64(^T(0))
	return T(min(max(n, 0), top))
}
