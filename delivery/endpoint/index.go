package endpoint

// index finds the endpoints of one tenant that an event type is for, and lists
// them in the order of their creation.

import (
	"cmp"
	"slices"
	"strings"
)

// index holds entries in lists sorted by (created, id). Callback endpoints are
// in none of them: they match by their URL only, and lists hide them.
type index struct {
	all      []*entry            // every endpoint of the tenant
	everyone []*entry            // those that take every type
	exact    map[string][]*entry // by type
	prefix   map[string][]*entry // "resume" for the subscription resume.*
	uids     map[string][]*entry // by the owner's own id: one each, unless two nodes wrote in the same moment
}

func order(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.id, b.id))
}

func insert(list []*entry, x *entry) []*entry {
	i, found := slices.BinarySearchFunc(list, x, order)
	if found {
		list[i] = x
		return list
	}
	return slices.Insert(list, i, x)
}

func remove(list []*entry, x *entry) []*entry {
	if i, found := slices.BinarySearchFunc(list, x, order); found {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func (n *index) add(x *entry) {
	n.all = insert(n.all, x)
	n.name(x, insert)
	n.subscriptions(x, insert)
}

func (n *index) remove(x *entry) {
	n.all = remove(n.all, x)
	n.name(x, remove)
	n.subscriptions(x, remove)
}

// name applies change to the list of an entry's uid, if it has one.
func (n *index) name(x *entry, change func([]*entry, *entry) []*entry) {
	if uid := x.extra().uid; uid != "" {
		n.uids = put(n.uids, uid, change(n.uids[uid], x))
	}
}

// put keeps a list under a key, and no empty ones.
func put(lists map[string][]*entry, key string, list []*entry) map[string][]*entry {
	switch {
	case len(list) == 0:
		delete(lists, key)
	case lists == nil:
		return map[string][]*entry{key: list}
	default:
		lists[key] = list
	}
	return lists
}

// subscriptions applies change to every list that an entry's types put it in.
func (n *index) subscriptions(x *entry, change func([]*entry, *entry) []*entry) {
	types := x.types()
	if len(types) == 0 || slices.Contains(types, "*") {
		n.everyone = change(n.everyone, x)
	}
	for _, t := range types {
		if t == "*" {
			continue // what it names beside it still counts for named
		}
		lists, key := &n.exact, t
		if base, ok := strings.CutSuffix(t, ".*"); ok {
			lists, key = &n.prefix, base
		}
		*lists = put(*lists, key, change((*lists)[key], x))
	}
}

// find lists who takes a type, each once, in the order of their creation.
func (n *index) find(eventType string) []*entry { return n.collect(n.everyone, eventType) }

// named is find without those that take the type only because they take all.
func (n *index) named(eventType string) []*entry { return n.collect(nil, eventType) }

func (n *index) collect(everyone []*entry, eventType string) []*entry {
	found := slices.Concat(everyone, n.exact[eventType])
	lists := 0
	if len(everyone) > 0 {
		lists++
	}
	if len(n.exact[eventType]) > 0 {
		lists++
	}
	for i := 0; i < len(eventType) && len(n.prefix) > 0; i++ {
		if eventType[i] != '.' {
			continue // "a.b.c" is below "a" and "a.b" only
		}
		if more := n.prefix[eventType[:i]]; len(more) > 0 {
			found = append(found, more...)
			lists++
		}
	}
	if lists > 1 {
		slices.SortFunc(found, order)
		found = slices.Compact(found)
	}
	return found
}
