package copy

import (
	"encoding/hex"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	var r rate
	for i := range 300 { // 10 KiB every 100 ms
		r.add(time.Duration(i)*100*time.Millisecond, 10<<10)
	}
	now := 29900 * time.Millisecond
	if got := r.perSecond(now); got < 95<<10 || got > 110<<10 {
		t.Fatal(got)
	}
	if got := r.perSecond(now + 5*time.Second); got < 30<<10 || got > 45<<10 {
		t.Fatal("after 5 s", got)
	}
	if got := r.perSecond(now + 2*time.Minute); got != 0 {
		t.Fatal("after 2 min", got)
	}
}

func TestSizer(t *testing.T) {
	s := pieceSizer()
	for range 10 {
		s.took(s.size, time.Millisecond)
	}
	if s.size != s.most {
		t.Fatal("did not grow", s.size)
	}
	s.took(100, time.Millisecond)
	s.took(s.size, 2*time.Second)
	if s.size != s.most {
		t.Fatal("changed without reason", s.size)
	}
	for range 10 {
		s.took(4096, time.Minute)
	}
	if s.size != s.least {
		t.Fatal("did not shrink", s.size)
	}
	s.took(4096, 0)
	if s.size != s.least {
		t.Fatal("small pieces tell nothing about full ones")
	}
}

func TestSum(t *testing.T) {
	// The same well-known value as in bricks/server.
	if got := hex.EncodeToString(Sum(nil, nil)); got != "af1349b9f5f9a1a6a0404dea36dcc949" {
		t.Fatal(got)
	}
}
