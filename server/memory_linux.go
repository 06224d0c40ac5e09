package server

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Where a container's own limit stands (cgroups, versions 2 and 1); a process in a group below has
// at most as much.
var memoryFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// memoryLimit returns how much memory the machine, or the container, has, in bytes; 0: unknown.
func memoryLimit() int64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	limit := int64(info.Totalram) * int64(info.Unit) //nolint:unconvert // 32 bits on some machines
	for _, file := range memoryFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // "max" is no limit
			limit = min(limit, n)
		}
	}
	return limit
}
