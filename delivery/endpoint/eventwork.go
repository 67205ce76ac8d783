package endpoint

// How much work a schema can make: bounded before it is taken, because
// subschemas that refer to each other can multiply without end.

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of the work. Every check that fails is kept until the whole is judged,
// so they bound memory too.
const (
	maxWork    = 500         // checks that a schema may apply to one value of the data
	maxChain   = 20          // schemas that may lead to one another without going into the data
	maxChecks  = 1_000_000   // values of the data times checks of each
	manyChecks = 20_000      // from here on, one at a time
	maxSteps   = 100_000_000 // bytes of text times instructions of the patterns that one text has to match
	manySteps  = 2_000_000   // from here on, one at a time
	maxParts   = 1000        // schemas in a schema, each of which takes about a KiB of memory
	maxProgram = 20_000      // instructions of all patterns together, for the same reason
)

// works adds up what the parts of a schema that are applied to one value cost,
// by the depth of the data below it.
type works struct {
	own   func(*jsonschema.Schema) int // what a schema costs without those that it leads to
	most  int                          // where adding up ends
	parts map[*jsonschema.Schema]bool  // all that were met
	known map[workKey]int
	chain map[*jsonschema.Schema]int // how long a way leads on from a schema without going into the data
	open  map[workKey]bool           // being computed: met again, the schema leads to itself without going into the data
}

type workKey struct {
	schema *jsonschema.Schema
	depth  int
}

// workOf is the most checks that a schema applies to one value at any depth
// that data may have, and the most instructions of patterns that it runs over
// one text; too many checks are an error.
func workOf(s *jsonschema.Schema) (checks, instructions int, err error) {
	checks, parts, err := costliest(s, checksOf, maxWork)
	if err != nil {
		return 0, 0, err
	}
	program := 0
	for part := range parts {
		program += instructionsOf(part)
	}
	if len(parts) > maxParts || program > maxProgram {
		return 0, 0, fmt.Errorf("has %d parts with patterns of %d instructions; give at most %d and %d", len(parts), program, maxParts, maxProgram)
	}
	if checks > maxWork {
		return 0, 0, fmt.Errorf("checks one value more than %d times, because its parts refer to each other several times over; make it simpler", maxWork)
	}
	instructions, _, err = costliest(s, instructionsOf, maxSteps)
	return checks, instructions, err
}

func costliest(s *jsonschema.Schema, own func(*jsonschema.Schema) int, most int) (cost int, parts map[*jsonschema.Schema]bool, err error) {
	w := works{own: own, most: most, parts: map[*jsonschema.Schema]bool{}, known: map[workKey]int{}, chain: map[*jsonschema.Schema]int{}, open: map[workKey]bool{}}
	for depth := range maxDataDepth {
		n, err := w.at(s, depth)
		if err != nil {
			return 0, nil, err
		}
		if cost = max(cost, n); cost > most || len(w.parts) > maxParts {
			break
		}
	}
	return cost, w.parts, nil
}

// checksOf counts a schema's own checks. The items of a list are compared and
// fail as one, which costs far less.
func checksOf(s *jsonschema.Schema) int {
	if s.Bool != nil {
		return 1
	}
	n := 1 + len(s.Required)/10 + len(s.PatternProperties) + len(s.DependentRequired)
	if s.Enum != nil {
		n += len(s.Enum.Values) / 10
	}
	return n
}

// instructionsOf is the size of a schema's own patterns, of texts and of names.
func instructionsOf(s *jsonschema.Schema) int {
	n := 0
	if p, ok := s.Pattern.(*pattern); ok {
		n += p.size
	}
	for name := range s.PatternProperties {
		if p, ok := name.(*pattern); ok {
			n += p.size
		}
	}
	return n
}

// at is what it costs to apply the schema to any one value that lies depth
// levels below the one that the schema is applied to.
func (w *works) at(s *jsonschema.Schema, depth int) (int, error) {
	if s == nil {
		return 0, nil
	}
	w.parts[s] = true
	if s.Bool != nil {
		return w.own(s), nil
	}
	key := workKey{s, depth}
	if n, ok := w.known[key]; ok {
		return n, nil
	}
	if s.DraftVersion != 2020 {
		return 0, errors.New("mixes dialects; use JSON Schema 2020-12 throughout")
	}
	if s.DynamicRef != nil {
		return 0, errors.New("has a $dynamicRef; use $ref")
	}
	if w.open[key] {
		return 0, errors.New("refers to itself without going into the data")
	}
	w.open[key] = true
	n, err := w.compute(s, depth)
	delete(w.open, key)
	if err != nil {
		return 0, err
	}
	n = min(n, w.most+1)
	w.known[key] = n
	return n, nil
}

func (w *works) compute(s *jsonschema.Schema, depth int) (int, error) {
	total := 0
	if depth == 0 {
		total = w.own(s)
	}
	inPlace := [][]*jsonschema.Schema{{s.Ref, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf, s.OneOf, values(s.DependentSchemas)}
	for _, list := range inPlace {
		for _, child := range list {
			if child == nil {
				continue
			}
			n, err := w.at(child, depth)
			if err != nil {
				return 0, err
			}
			if w.chain[s] = max(w.chain[s], w.chain[child]+1); w.chain[s] > maxChain {
				return 0, fmt.Errorf("leads through more than %d references and alternatives to reach one check; make it simpler", maxChain)
			}
			if total += n; total > w.most {
				return total, nil
			}
		}
	}
	if depth == 0 {
		return total, nil
	}
	// A value of an object is judged by one of the properties or the rest, by any
	// pattern and by what is unevaluated; an array's alike.
	rest, _ := s.AdditionalProperties.(*jsonschema.Schema)
	object, err := w.below(depth-1, append(values(s.Properties), rest), append(values(s.PatternProperties), s.UnevaluatedProperties, s.PropertyNames))
	if err != nil {
		return 0, err
	}
	array, err := w.below(depth-1, append(append([]*jsonschema.Schema(nil), s.PrefixItems...), s.Items2020), []*jsonschema.Schema{s.Contains, s.UnevaluatedItems})
	if err != nil {
		return 0, err
	}
	return total + max(object, array), nil
}

// below adds the costliest of some schemas, one of which applies, to all of
// those that may apply beside it.
func (w *works) below(depth int, one, all []*jsonschema.Schema) (int, error) {
	most, sum := 0, 0
	for i, s := range append(one, all...) {
		if s == nil {
			continue
		}
		n, err := w.at(s, depth)
		if err != nil {
			return 0, err
		}
		if i < len(one) {
			most = max(most, n)
		} else {
			sum += n
		}
	}
	return most + sum, nil
}

func values[K comparable](m map[K]*jsonschema.Schema) []*jsonschema.Schema {
	list := make([]*jsonschema.Schema, 0, len(m)+1)
	for _, s := range m {
		list = append(list, s)
	}
	return list
}
