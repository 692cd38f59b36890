package main

import (
	"fmt"
	"os"
	"time"
)

type server struct{ table map[string]int }

func (s *server) serve(names ...string) int {
	for _, name := range names {
		s.table[name]++
	}
	return len(s.table)
}

func main() {
	fmt.Fprintln(os.Stderr, "2026/11/26 10:00:00 ready")
	go func() { time.Sleep(time.Hour) }()
	func() {
		defer func() {
			fmt.Fprintln(os.Stderr, "2026/11/26 10:00:01 recovered", recover() != nil)
		}()
		panic("not the last")
	}()
	time.Sleep(10 * time.Millisecond)
	defer func() { panic(fmt.Sprint("again: ", recover())) }()
	(&server{}).serve("a", "b")
}
