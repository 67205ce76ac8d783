package consumer

// How records enter a slot: recognised as repeats, or put into their lanes.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// recordOverhead is what a held record costs besides its bytes.
const recordOverhead = 1 << 10

// recordBytes is what a record counts against the budgets.
func recordBytes(r *kgo.Record) int64 {
	n := int64(recordOverhead + len(r.Key) + len(r.Value))
	for _, h := range r.Headers {
		n += int64(len(h.Key) + len(h.Value))
	}
	return n
}

// take sorts one partition's records into lanes. bytes is what the dispatcher
// counted for them when they came.
func (s *slot) take(b *Batch, bytes int64) {
	if s.closing {
		s.budget.free(bytes)
		return
	}
	s.bytes += bytes
	now := time.Now()
	touched := map[*lane]struct{}{}
	for _, r := range b.Records {
		rec := FromKafka(r)
		if b.Topic == s.cfg.Topology.ControlTopic() {
			s.release(recordBytes(r))
			s.control(&rec, b.Done)
			continue
		}
		d, err := schemas.ParseDelivery(&rec)
		if err != nil {
			s.malformed(rec, err, b.Done, recordBytes(r))
			continue
		}
		j := &job{d: d, src: schemas.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, ack: b.Done,
			parkOff: -1, received: now, bytes: recordBytes(r)}
		if l := s.enter(j, now); l != nil {
			touched[l] = struct{}{}
		}
	}
	for l := range touched {
		s.pump(l)
	}
}

// enter puts a job into its lane, unless it is a repeat; then it is done with
// at once and the lane is nil.
func (s *slot) enter(j *job, now time.Time) *lane {
	if carrier := s.active[j.d.ID]; carrier != nil {
		// Another record carries this delivery already and stays open until
		// what follows from it is safe. The later attempt of the two counts.
		if carrier.state == waiting && j.d.Attempts > carrier.d.Attempts {
			carrier.d.Attempts = j.d.Attempts
		}
		s.duplicate(j)
		return nil
	}
	if id, ok := s.reread[j.src]; ok && j.ack != nil {
		delete(s.reread, j.src)
		if id == j.d.ID { // its copy in park carries it
			s.duplicate(j)
			return nil
		}
	}
	switch k, made, due := s.done.check(j.d.ID, j.d.Attempts); k {
	case repeat:
		s.duplicate(j)
		return nil
	case behind:
		j.d.Attempts, j.d.Due = made, time.UnixMilli(due).UTC()
	}
	l := s.lane(j.d.EndpointID, now)
	l.used = now
	s.active[j.d.ID] = j
	s.metrics.waiting.Inc()
	if j.ack != nil && l.mode != live {
		j.lane = l
		s.toPark(j)
		return l
	}
	if j.ack != nil {
		l.sourced = append(l.sourced, j)
	}
	l.push(j, now)
	return l
}

// duplicate closes a record whose delivery is carried on or has ended elsewhere.
func (s *slot) duplicate(j *job) {
	s.metrics.duplicates.Inc()
	j.state = finished
	s.closePlace(j)
	s.release(j.bytes)
}

// release counts bytes out.
func (s *slot) release(n int64) {
	s.bytes -= n
	s.budget.free(n)
}

// deadLimit is the largest dead letter in bytes.
func (s *slot) deadLimit() int {
	for _, t := range s.cfg.Topology.Topics() {
		if t.Name == s.cfg.Topology.DeadTopic() {
			return t.MaxMessage
		}
	}
	return 0
}

// malformed keeps a record that is no delivery of ours as a dead letter, as it
// came, so that nothing vanishes; one that does not fit, as an excerpt with
// where it lies.
func (s *slot) malformed(rec schemas.Record, cause error, done func(int64), bytes int64) {
	s.cfg.Logger.Error("a record of a delivery topic cannot be read; it is kept as a dead letter", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "error", cause)
	dead := schemas.Record{Topic: s.cfg.Topology.DeadTopic(), Partition: s.n, Key: rec.Key, Value: rec.Value,
		Headers: append(rec.Headers, schemas.Header{Key: schemas.HdrReason, Value: []byte("malformed: " + schemas.Shorten(cause.Error(), maxErrorText))})}
	if producer.RecordSize(&dead) > s.deadLimit() {
		dead.Key, dead.Value = rec.Key[:min(len(rec.Key), maxExcerpt)], rec.Value[:min(len(rec.Value), maxExcerpt)]
		dead.Headers = []schemas.Header{dead.Headers[len(dead.Headers)-1],
			{Key: schemas.HdrSource, Value: []byte(schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}.String())}}
	}
	s.append(dead, func(int64) {
		done(rec.Offset)
		s.release(bytes)
	})
}
