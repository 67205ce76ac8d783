package schemas

// The hash that places a key: murmur2 as Kafka's own producers compute it.

import "encoding/binary"

// SlotOf is Kafka's default partition for a key: toPositive(murmur2(key)) mod n
// (org.apache.kafka.common.utils.Utils.murmur2). We compute it ourselves and
// set the partition explicitly, so that adding partitions to one topic by
// accident cannot move keys.
func SlotOf(key string, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

func murmur2(b string) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(b))
	for len(b) >= 4 {
		k := binary.LittleEndian.Uint32([]byte(b[:4]))
		b = b[4:]
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
