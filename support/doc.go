// Package support gathers what somebody needs who looks for a fault in a node that they cannot
// reach: the newest log lines, the last seconds of the runtime, what one connection carries, and
// one file with all of it, from which credentials are taken out. It knows nothing of media, rooms
// or the configuration, and is a leaf.
package support
