package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// All whom a node is told to join belong to a farm of another name. The node ends, and says so.
func TestFarmOfAnotherName(t *testing.T) {
	t.Parallel()
	unformed(t, 2, true, func(l *lab) {
		first, wrong := l.nodes[0], l.nodes[1]
		first.start()
		l.ready(first)
		wrong.conf.Farm, wrong.conf.Join = "depot", []string{first.conf.Listen}
		wrong.start()
		l.until(time.Minute, "it ends", func() bool { return wrong.Err() != nil })
		if err := wrong.Err(); !errors.Is(err, ErrOtherFarm) ||
			!strings.Contains(err.Error(), `"webfarm", and this is "depot"`) {
			t.Errorf("it ends with %v", err)
		}
		if first.Err() != nil {
			t.Errorf("the farm suffers by it: %v", first.Err())
		}
		wrong.stop()
		wrong.conf.Farm = ""
		wrong.start()
		l.ready(l.nodes...)
	})
}

// One of three founders has another name for the farm. It ends; the others, who may be right, wait for a
// third.
// Slow: founders wait for each other for minutes of their time.
func TestOneFounderIsOfAnotherName(t *testing.T) {
	t.Parallel()
	unformed(t, 3, false, func(l *lab) {
		l.symmetric()
		wrong := l.nodes[1]
		wrong.conf.Farm = "depot"
		for _, n := range l.nodes[:2] {
			n.start()
		}
		time.Sleep(time.Minute)
		for _, n := range l.nodes[:2] {
			if err := n.Err(); err != nil {
				t.Errorf("%s cannot know that it is the one that is wrong: %v", n.conf.Name, err)
			}
		}
		l.nodes[2].start()
		l.until(time.Minute, "it ends", func() bool { return errors.Is(wrong.Err(), ErrOtherFarm) })
		time.Sleep(time.Minute)
		wrong.stop()
		wrong.conf.Farm = ""
		wrong.start()
		l.ready(l.nodes...)
	})
}

// No node ends because of somebody who does not know the secret. A member does not end either when it finds
// another farm where its own farm was.
// Slow: a test that a member does not end takes minutes.
func TestAnotherNameProvesNothing(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		first, member, stranger := l.nodes[0], l.nodes[1], l.nodes[2]
		member.conf.Join = []string{first.conf.Listen}
		first.start()
		member.start()
		l.ready(first, member)
		first.stop()
		member.stop()
		stranger.conf.Farm = "depot"
		stranger.ip, first.ip = first.ip, stranger.ip
		stranger.conf.Listen, first.conf.Listen = first.conf.Listen, stranger.conf.Listen
		stranger.start()
		member.start()
		time.Sleep(time.Minute)
		if err := member.Err(); err != nil {
			t.Errorf("a member ended: %v", err)
		}
		member.stop()
		stranger.stop()
		stranger.conf.Secrets = []string{"a3f1c07be85d42669be01f7a5c8d2e94"}
		stranger.start()
		lost := l.joiner("10.0.0.9", Config{Name: "lost"})
		lost.stop()
		lost.conf.Join = []string{stranger.conf.Listen}
		lost.start()
		time.Sleep(time.Minute)
		if err := lost.Err(); err != nil {
			t.Errorf("it believed somebody without the secret: %v", err)
		}
		lost.stop()
		stranger.stop()
		first.start()
		member.conf.Join = []string{first.conf.Listen}
		member.start()
		l.ready(first, member)
	})
}
