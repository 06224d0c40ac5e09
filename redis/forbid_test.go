package redis_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
	"liverelay/redis/redistest"
	"liverelay/room"
	"liverelay/room/backend"
	"liverelay/room/roomtest"
)

func callAPI(t *testing.T, n guarded, query string) roomtest.Reply {
	t.Helper()
	rep, err := roomtest.Call(within(t), n.Node, "Action="+query)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestForbidReachesTheNodeWithTheMedia (A6): a stream forbidden at one node ends at the
// one that has its media, whatever that one is asked before it has heard of it.
func TestForbidReachesTheNodeWithTheMedia(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
	must(t, bob, "publish", M{"stream": "s"})
	b.Service.StreamPublished(media("bob", "s", 1))
	if ann.Event(within(t), "streamUpdate", added("s")) == nil {
		t.Fatal("ann does not see the stream")
	}
	begin := time.Now()
	callAPI(t, a, "ForbidRTCStream&StreamId[]=s")
	callAPI(t, b, "DescribeForbidStreamRule")
	eventually(t, func() bool { return len(b.Ended()) == 1 })
	t.Logf("ended after %v", time.Since(begin)) // promised: < 1 s
	f := ann.Event(within(t), "streamUpdate", func(f *roomtest.Frame) bool { return f.Update == "DELETE" })
	if f == nil || f.Reasons[0].Code != int(room.ReasonRemoved) {
		t.Errorf("the members are told %+v", f)
	}
	if f, err := bob.Do(within(t), "publish", M{"stream": "s"}); err != nil || f.Error == nil || f.Error.Code != int(room.CodePublishForbidden) {
		t.Errorf("published again: %+v, %v", f, err)
	}
	callAPI(t, b, "ResumeRTCStream&StreamId=s")
	eventually(t, func() bool {
		f, err := bob.Do(within(t), "publish", M{"stream": "s"})
		return err == nil && f.Error == nil
	})
}

// TestBanOfEachKindTakesMembersOut: bans of rooms, addresses and members, not only of
// users, end memberships on the other node.
func TestBanOfEachKindTakesMembersOut(t *testing.T) {
	for _, key := range []auth.Key{
		{Kind: auth.KindRoom, App: roomtest.AppName, Value: "r1"},
		{Kind: auth.KindMember, App: roomtest.AppName, Value: auth.Member("r1", "bob")},
		{Kind: auth.KindIP, App: roomtest.AppName, Value: "127.0.0.0/9"},
		{Kind: auth.KindIP, Value: "127.0.0.1"},
	} {
		t.Run(key.String(), func(t *testing.T) {
			server := redistest.Start(t)
			a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
			bob := enter(t, b.Node, "bob")
			begin := time.Now()
			if err := a.bans.Ban(within(t), entry(key, begin.Add(time.Hour), "spam")); err != nil {
				t.Fatal(err)
			}
			if f := bob.Event(within(t), "kicked", nil); f == nil || f.Code != int(room.CodeKicked) {
				t.Fatalf("not thrown out: %+v", f)
			}
			t.Logf("thrown out after %v", time.Since(begin)) // promised: < 1 s
			if code, _ := tryLogin(t, b, "bob"); code != room.CodeBanned {
				t.Errorf("back: code %d", code)
			}
		})
	}
}

// TestBannedWhileAway: a member whose connection is lost is out when it is banned in
// its grace, also by the address it had.
func TestBannedWhileAway(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	ann, bob := enter(t, a.Node, "ann"), enter(t, b.Node, "bob")
	agree(t, ann, bob)
	bob.Drop()
	if err := a.bans.Ban(within(t), entry(auth.Key{Kind: auth.KindMember, App: roomtest.AppName, Value: auth.Member("r1", "bob")}, time.Now().Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	if ann.Event(within(t), "userUpdate", func(f *roomtest.Frame) bool { return f.Update == "DELETE" && f.Users[0].ID == "bob" }) == nil {
		t.Error("still a member")
	}
}

// TestRulesOutliveRedis (B-3): a Redis that has lost everything is told what is
// forbidden by the nodes that know, and what was lifted stays lifted.
func TestRulesOutliveRedis(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	callAPI(t, a, "SetForbidUserRule&RuleType=3&UserId=bob&DisabledPrivilege[]=1&EffectiveTime=3600")
	callAPI(t, a, "SetForbidUserRule&RuleType=3&UserId=cho&DisabledPrivilege[]=1&EffectiveTime=3600")
	callAPI(t, a, "ForbidRTCStream&StreamId=s&Sequence=7")
	eventually(t, func() bool { code, _ := tryLogin(t, b, "cho"); return code == room.CodeBanned })
	callAPI(t, b, "DelForbidUserRule&RuleType=3&UserId=cho")
	eventually(t, func() bool { code, _ := tryLogin(t, a, "cho"); return code == 0 })
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	if err := one.FlushAll(within(t)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.HLen(within(t), "{liverelay:bans}:list").Val() == 3 }) // with what is lifted
	late := startGuarded(t, server, nil)                                                          // which knows only what Redis does
	for name, n := range map[string]guarded{"a": a, "b": b, "late": late} {
		if code, _ := tryLogin(t, n, "bob"); code != room.CodeBanned {
			t.Errorf("%s: bob is let in: %d", name, code)
		}
		if code, _ := tryLogin(t, n, "cho"); code == room.CodeBanned {
			t.Errorf("%s: cho is banned again", name)
		}
		if rep := callAPI(t, n, "DescribeForbidStreamRule"); !strings.Contains(string(rep.Data), `"StreamId":"s"`) {
			t.Errorf("%s: %s", name, rep.Data)
		}
	}
	if _, err := roomtest.Call(within(t), late.Node, "Action=ResumeRTCStream&StreamId=s&Sequence=6"); err == nil {
		t.Error("the Sequence is forgotten")
	}
}

// TestRedisWithOlderBans: a Redis that comes back with older content, as a replica may,
// takes the newer entries from the nodes, and lifts nothing.
func TestRedisWithOlderBans(t *testing.T) {
	ctx := within(t)
	server := redistest.Start(t)
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	a, b := newRedis(t, server).Bans(), newRedis(t, server).Bans()
	defer a.Close()
	defer b.Close()
	hour := time.Now().Add(time.Hour)
	bob, cho := auth.Key{Kind: auth.KindUser, App: "live", Value: "bob"}, auth.Key{Kind: auth.KindUser, App: "live", Value: "cho"}
	for _, key := range []auth.Key{alice, bob} {
		if err := a.Ban(ctx, entry(key, hour, "old")); err != nil {
			t.Fatal(err)
		}
	}
	list, at := one.HGetAll(ctx, "{liverelay:bans}:list").Val(), one.HGetAll(ctx, "{liverelay:bans}:change").Val()
	for _, err := range []error{a.Ban(ctx, entry(alice, hour, "new")), a.Lift(ctx, bob), a.Ban(ctx, entry(cho, hour, "new"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	right := func(s auth.Store) bool {
		_, noBob, _ := s.Find(ctx, bob)
		one, isAlice, _ := s.Find(ctx, alice)
		_, isCho, _ := s.Find(ctx, cho)
		return !noBob && isAlice && one.Reason == "new" && isCho
	}
	eventually(t, func() bool { return right(b) })
	one.Del(ctx, "{liverelay:bans}:list", "{liverelay:bans}:change")
	one.HSet(ctx, "{liverelay:bans}:list", list)
	one.HSet(ctx, "{liverelay:bans}:change", at)
	eventually(t, func() bool {
		if !right(a) || !right(b) {
			t.Fatal("the nodes forget, for a Redis that has")
		}
		late := newRedis(t, server).Bans()
		defer late.Close()
		return right(late)
	})
}

// TestShortenedBanStaysShort: a node that was away while a ban was replaced by a shorter
// one, which is over by now, does not bring the longer one back.
func TestShortenedBanStaysShort(t *testing.T) {
	ctx := within(t)
	server := redistest.Start(t)
	a := newRedis(t, server).Bans()
	defer a.Close()
	if err := a.Ban(ctx, entry(alice, time.Now().Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	if err := a.Ban(ctx, entry(alice, time.Now().Add(100*time.Millisecond), "")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	late := newRedis(t, server).Bans()
	defer late.Close()
	if _, found, err := late.Find(ctx, alice); found || err != nil {
		t.Error(found, err)
	}
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	if n := one.HLen(ctx, "{liverelay:bans}:list").Val(); n != 1 {
		t.Errorf("%d entries: who has the longer one cannot know", n)
	}
}

// TestRedisClockEndsBans: an entry's end is in Redis's time, and it is not forgotten
// there before it, whatever a node's clock says.
func TestRedisClockEndsBans(t *testing.T) {
	ctx := within(t)
	server := redistest.Start(t)
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	a := newRedis(t, server).Bans()
	defer a.Close()
	if err := a.Ban(ctx, entry(alice, time.Now().Add(time.Minute), "")); err != nil {
		t.Fatal(err)
	}
	value := strings.Split(one.HGet(ctx, "{liverelay:bans}:list", alice.String()).Val(), " ")
	until, err := strconv.ParseInt(value[1], 10, 64)
	if left := time.UnixMilli(until).Sub(one.Time(ctx).Val()); err != nil || left > time.Minute || left < 20*time.Second {
		t.Errorf("%v left by its clock, %v", left, err)
	}
	if n, err := one.Eval(ctx, bankeep(t), []string{"{liverelay:bans}:list", "{liverelay:bans}:change"}, "c", "id", 1, alice.String()).Int(); n != 0 || err != nil {
		t.Error(n, err)
	}
	if one.HLen(ctx, "{liverelay:bans}:list").Val() != 1 {
		t.Error("a node could end another's ban")
	}
}

// TestNonceIsGoodOnceOnAllNodes (C-4).
func TestNonceIsGoodOnceOnAllNodes(t *testing.T) {
	server := redistest.Start(t)
	a, b := startGuarded(t, server, nil), startGuarded(t, server, nil)
	id, now := strconv.Itoa(roomtest.AppID), fmt.Sprint(time.Now().Unix())
	query := "?Action=DescribeForbidUserRule&AppId=" + id + "&SignatureNonce=n&Timestamp=" + now + "&Signature=" + backend.Signature(id, "n", roomtest.AppSecret, now)
	for i, n := range []guarded{a, b, a} {
		if got := get(t, n.API+query); strings.Contains(got, `"Code":0`) != (i == 0) {
			t.Errorf("call %d: %s", i, got)
		}
	}
	server.Down() // each knows its own
	query = strings.ReplaceAll(query, "SignatureNonce=n", "SignatureNonce=m")
	query = strings.ReplaceAll(query, backend.Signature(id, "n", roomtest.AppSecret, now), backend.Signature(id, "m", roomtest.AppSecret, now))
	for i, want := range []bool{true, false} {
		if got := get(t, a.API+query); strings.Contains(got, `"Code":0`) != want {
			t.Errorf("without Redis, call %d: %s", i, got)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBanWithoutItsMessage: messages never reach the copy; it asks, and knows in time.
func TestBanWithoutItsMessage(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	server := redistest.Start(t)
	one := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer one.Close()
	a, b := newRedis(t, server).Bans(), newRedis(t, server).Bans()
	defer a.Close()
	defer b.Close()
	if err := one.Do(ctx, "ACL", "SETUSER", "default", "resetchannels").Err(); err != nil { // nobody hears anything
		t.Skip(err)
	}
	begin := time.Now()
	if err := a.Ban(ctx, entry(alice, begin.Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, found, _ := b.Find(ctx, alice); return found })
	t.Logf("known after %v", time.Since(begin))
}

func bankeep(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("lua/bankeep.lua")
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}
