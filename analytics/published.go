package analytics

// What intake asks the record: was an event published before?

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Published gives the data of those of a tenant's events that made a delivery,
// by their ids. What was published within the last flush may not be there yet.
func (s *Store) Published(ctx context.Context, tenant string, ids []string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	args := make([]any, 0, len(ids)+1)
	args = append(args, tenant)
	for _, id := range ids {
		args = append(args, id)
	}
	err := s.query(ctx, `SELECT event_id, any(data) FROM hookstream.events WHERE tenant_id = ? AND event_id IN (`+
		strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ")+`) AND notEmpty(delivery_ids) GROUP BY event_id`, args, func(r driver.Rows) error {
		var id, data string
		err := r.Scan(&id, &data)
		found[id] = []byte(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding events that were published before: %w", err)
	}
	return found, nil
}
