package analytics

// Storing one range's rows of one table exactly once.
//
// A first insert under a fresh token that is acknowledged is certain. Anything
// else is in doubt: the insert may have been stored, may still be on its way,
// or its token may have been written down without its rows (a server that is
// killed between the two acknowledges the retry and has nothing). So the range
// is read back and what is missing is inserted, first under the range's own
// token, which also shuts out an insert still on its way, then under a repair
// token, which is announced like the range itself.

import (
	"context"
	"time"
)

// vanishedAfter is how many fresh repair tokens may be acknowledged with their
// rows still absent before the rows count as dropped by the table itself.
const vanishedAfter = 3

// land returns false only when the stream has to end before the rows are known
// to be stored.
func (s *stream) land(ctx context.Context, c *cut, b *block) bool {
	token := s.from.token(c.first, c.last, 0)
	if !c.resumed && !c.regressed && c.first > s.doubtful {
		err := s.insert(ctx, b, nil, token)
		if err == nil {
			return true
		}
		s.log.Warn("insert is in doubt; reading back", "table", b.spec.name, "token", token, "rows", b.rows(), "error", err)
		if !newBackoff().sleep(ctx, s.quit, err) {
			return false
		}
	}
	return s.settle(ctx, c, b)
}

// settle inserts what is missing until nothing is. It walks through the range's
// token and then the repair tokens in order, those of a predecessor included: a
// token that stored its rows leaves none missing, one that did not is
// acknowledged without effect, and one still on its way is shut out.
func (s *stream) settle(ctx context.Context, c *cut, b *block) bool {
	wait := newBackoff()
	repair := 0
	acked := false // the current token was acknowledged to this process
	inherited, fresh := c.repair, 0
	for {
		have, err := s.engine.stored(ctx, b, s.from, c.first, c.last)
		if err != nil {
			s.log.Warn("reading back failed; trying again", "table", b.spec.name, "topic", s.from.topic, "partition", s.from.partition, "error", err)
			if !wait.sleep(ctx, s.quit, err) {
				return false
			}
			continue
		}
		missing := b.missing(have, time.Now())
		if len(missing) == 0 {
			return true
		}
		keep := missing
		if repair == 0 {
			// Parts are stored whole, one for each table partition: one that has
			// rows has them all, unless offsets were reset, and then the range's
			// token does not speak for it.
			keep = b.untouched(missing, have)
		}
		if acked || len(keep) == 0 {
			if repair > inherited && acked {
				fresh++
			}
			if fresh >= vanishedAfter {
				s.metrics.vanished.WithLabelValues(b.spec.name).Add(float64(len(missing)))
				s.log.Error("rows were acknowledged again and again and are not there; the table drops them", "table", b.spec.name,
					"token", s.from.token(c.first, c.last, repair), "rows", len(missing))
				return true
			}
			repair, acked, keep = repair+1, false, missing
			s.metrics.repairs.WithLabelValues(b.spec.name).Inc()
			s.log.Warn("rows are missing under an acknowledged token; repairing", "table", b.spec.name,
				"token", s.from.token(c.first, c.last, repair), "rows", len(missing))
		}
		if repair > c.repair {
			if !s.persist(ctx, c.first, &intent{last: c.last, rows: len(c.records), repair: repair}) {
				return false
			}
			c.repair = repair
		}
		token := s.from.token(c.first, c.last, repair)
		if err := s.insert(ctx, b, keep, token); err != nil {
			s.log.Warn("insert failed; trying again", "table", b.spec.name, "token", token, "rows", len(keep), "error", err)
			if !wait.sleep(ctx, s.quit, err) {
				return false
			}
			continue
		}
		acked = true
	}
}

// insert waits for its turn and stores rows of b under a token.
func (s *stream) insert(ctx context.Context, b *block, keep []int, token string) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.slots }()
	rows := b.rows()
	if keep != nil {
		rows = len(keep)
	}
	began := time.Now()
	err := s.engine.insert(ctx, b, keep, token)
	s.metrics.insertSeconds.WithLabelValues(b.spec.name).Observe(time.Since(began).Seconds())
	if err != nil {
		s.metrics.inserts.WithLabelValues(b.spec.name, "doubtful").Inc()
		return err
	}
	s.pace.inserted(time.Now())
	s.metrics.inserts.WithLabelValues(b.spec.name, "stored").Inc()
	s.metrics.rows.WithLabelValues(b.spec.name).Add(float64(rows))
	return nil
}

// missing are the rows that are not stored and not past their TTL.
func (b *block) missing(have map[uint64]struct{}, now time.Time) []int {
	var out []int
	for i, o := range b.offsets {
		if _, ok := have[o]; !ok && !b.expired(i, now) {
			out = append(out, i)
		}
	}
	return out
}

// untouched are those of missing whose table partition has no stored row of
// this range.
func (b *block) untouched(missing []int, have map[uint64]struct{}) []int {
	touched := map[int64]bool{}
	for i, o := range b.offsets {
		if _, ok := have[o]; ok {
			touched[b.spec.part(b.times[i])] = true
		}
	}
	var out []int
	for _, i := range missing {
		if !touched[b.spec.part(b.times[i])] {
			out = append(out, i)
		}
	}
	return out
}
