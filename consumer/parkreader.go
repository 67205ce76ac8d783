package consumer

// Reading park back: one pass over the slot's partition from the lowest record
// that a lane wants, handed to the slot chunk by chunk as it asks for them.

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// parkChunk is how many records a pass hands over at once.
const parkChunk = 256

// parkPass belongs to the slot's goroutine, but for more and ctx.
type parkPass struct {
	no     int
	from   int64
	cancel context.CancelFunc
	more   chan struct{} // a token asks for one more chunk
	chunk  []*kgo.Record // handed over, not offered to the lanes yet
	cursor int64         // every record below was offered
	asked  bool
	waited time.Time // since when it is held up, now and then, by lanes without room; zero: not yet
}

// ask asks for one more chunk.
func (p *parkPass) ask() {
	if !p.asked {
		p.asked = true
		p.more <- struct{}{} // has room for the one token
	}
}

// startPass begins to read at an offset.
func (s *slot) startPass(from int64) {
	s.passes++
	ctx, cancel := context.WithCancel(s.ctx)
	p := &parkPass{no: s.passes, from: from, cancel: cancel, more: make(chan struct{}, 1), cursor: from}
	s.pass = p
	s.calls++
	go func() {
		err := readPark(ctx, p.more, s.cfg.Options, s.cfg.Topology.ParkTopic(), s.n, from, func(chunk []*kgo.Record) {
			s.box.post(func() { s.chunk(p, chunk) })
		})
		stopped := ctx.Err() != nil
		s.box.post(func() {
			s.calls--
			if err != nil && !stopped {
				s.fail(fmt.Errorf("reading park of slot %d: %w", s.n, err))
			}
		})
	}()
	p.ask()
}

// endPass stops reading; a chunk that is on its way is ignored.
func (s *slot) endPass() {
	if s.pass != nil {
		s.pass.cancel()
		s.pass = nil
	}
}

func (s *slot) chunk(p *parkPass, records []*kgo.Record) {
	if s.pass != p {
		return
	}
	p.asked = false
	p.chunk = records
	s.scan()
}

// readPark hands over chunks, one for each token, until ctx ends.
func readPark(ctx context.Context, more <-chan struct{}, options []kgo.Opt, topic string, partition int32, from int64, hand func([]*kgo.Record)) error {
	client, err := kgo.NewClient(append(options[:len(options):len(options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // retention took the first of them
		kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20))...)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
		fetches := client.PollRecords(ctx, parkChunk)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return e.Err
		}
		hand(fetches.Records())
	}
}
