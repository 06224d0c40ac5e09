//go:build !linux

package main

import "errors"

func bench(Options) (*Report, error) {
	return nil, errors.New("it needs Linux: epoll, MSG_TRUNC and the CPU clocks of other processes")
}
