package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes are the server's: those named, and all that they have started.
type processes []int

// usage is what the server has used so far, and the machine.
type usage struct {
	cpu int64 // ns
	rss int64 // bytes
	own int64 // CPU of livebench, ns
	mem int64 // of the whole machine, bytes that nothing else could have: the kernel's socket buffers are in it
	machine
	at int64
}

func parsePIDs(s string) (processes, error) {
	var p processes
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		pid, err := strconv.Atoi(f)
		if err != nil || pid <= 0 {
			return nil, fmt.Errorf("parse --pid: %q is no process id", f)
		}
		if _, err := processTime(pid); err != nil {
			return nil, err
		}
		p = append(p, pid)
	}
	return p, nil
}

// family adds the descendants of p.
func (p processes) family() processes {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		end := bytes.LastIndexByte(b, ')') // the name of the program may hold spaces
		f := strings.Fields(string(b[end+1:]))
		if end < 0 || len(f) < 2 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], pid)
	}
	all := append(processes(nil), p...)
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// measure reads the clocks. A process that has ended counts nothing.
func (p processes) measure() usage {
	u := usage{at: now()}
	for _, pid := range p {
		if t, err := processTime(pid); err == nil {
			u.cpu += t
		}
		u.rss += residentSize(pid)
	}
	u.own, _ = processTime(os.Getpid())
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		u.machine = parseMachine(b)
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		u.mem = kibibytes(b, "MemTotal:") - kibibytes(b, "MemAvailable:")
	}
	return u
}

// residentSize is a process's RSS. /proc/PID/statm may be some pages behind (it sums per-thread
// counters late), the sum in smaps_rollup is exact.
func residentSize(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	return kibibytes(b, "Rss:")
}

// kibibytes returns a figure of a file in /proc, in bytes; 0: it is not there.
func kibibytes(file []byte, name string) int64 {
	for line := range strings.Lines(string(file)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// machine is the time of all processors in ns, to 10 ms.
type machine struct {
	busy   int64 // they worked: without idle and I/O wait
	stolen int64 // a virtual machine's had work, but its host had other things to do
}

// parseMachine reads /proc/stat.
func parseMachine(stat []byte) machine {
	var m machine
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, s := range strings.Fields(line) {
		ticks, _ := strconv.ParseInt(s, 10, 64)
		switch i {
		case 1, 3, 6, 7: // user, system, irq, softirq; what is nice gives way (scripts/bench awake)
			m.busy += ticks * 1e7
		case 8:
			m.stolen = ticks * 1e7
		}
	}
	return m
}
