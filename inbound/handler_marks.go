package inbound

// hdrRequeued marks a webhook that was parked and is to be handled again: where
// it was parked. It is no repeat, although its original was there before.
const hdrRequeued = "hs-requeued"
