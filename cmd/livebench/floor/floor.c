/*
 * floor: what the kernel takes for a fan-out, and nothing else. One thread, one epoll; publishers PUT FLV streams, players
 * GET them (PUT /NAME, GET /NAME.flv); every tag goes to every player of its stream with one send(2). No protocol work, no copy,
 * no GOP cache, no policy for the slow: what a socket does not take is kept for it, and a player that falls more than LAG
 * behind is closed.
 *
 *   floor PORT [FLUSH_MS]     gather tags for FLUSH_MS before they are sent; 0: do not
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 4096, NAME = 64, IN = 1 << 22, LAG = 8 << 20, BATCH = 256 };

struct conn {
	int fd;
	enum { HEAD, PLAYER, PUBLISHER } role;
	struct stream *stream;
	int place;         /* in its stream's players */
	size_t have;       /* bytes of the request */
	char head[1024];
	char *rest;        /* what the socket did not take */
	size_t rest_len;
};

struct stream {
	char name[NAME];
	struct conn **players, *publisher;
	int count, cap;
	char *in;               /* the publisher's bytes: [0, in_len); the kernel gives pages as they are touched */
	size_t in_len, ready_len, skip;
};

static int ep;
static struct stream streams[STREAMS];
static int stream_count;
static unsigned long long sends, sent, closed_slow;
static volatile sig_atomic_t stop;

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n"
	"FLV\1\5\0\0\0\11\0\0\0"; /* with the final zero: 9 + 4 bytes */

static void fail(const char *what) { perror(what); exit(1); }
static void on_signal(int s) { (void)s; stop = 1; }

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	if (epoll_ctl(ep, op, c->fd, &e) < 0)
		fail("epoll_ctl");
}

static void drop(struct conn *c)
{
	struct stream *s = c->stream;
	if (c->role == PLAYER) {
		s->players[c->place] = s->players[--s->count];
		s->players[c->place]->place = c->place;
	} else if (c->role == PUBLISHER) {
		s->publisher = NULL;
		s->in_len = s->ready_len = 0;
	}
	close(c->fd);
	free(c->rest);
	c->fd = -1; /* freed after the batch of events in work */
}

static void keep(struct conn *c, const char *b, size_t n)
{
	if (c->rest_len + n > LAG || !(c->rest = realloc(c->rest, c->rest_len + n))) {
		closed_slow++;
		c->rest = NULL;
		drop(c);
		return;
	}
	if (!c->rest_len)
		watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
	memcpy(c->rest + c->rest_len, b, n);
	c->rest_len += n;
}

static void deliver(struct conn *c, const char *b, size_t n)
{
	ssize_t k = 0;
	if (!c->rest_len) {
		k = send(c->fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		sends++;
		if (k < 0 && errno != EAGAIN) {
			drop(c);
			return;
		}
		k = k < 0 ? 0 : k;
		sent += k;
	}
	if ((size_t)k < n)
		keep(c, b + k, n - k);
}

static void flush_rest(struct conn *c)
{
	ssize_t k = send(c->fd, c->rest, c->rest_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	sends++;
	if (k < 0)
		return;
	sent += k;
	memmove(c->rest, c->rest + k, c->rest_len -= k);
	if (!c->rest_len) {
		free(c->rest);
		c->rest = NULL;
		watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
	}
}

static void fan_out(struct stream *s, const char *b, size_t n)
{
	for (int i = s->count - 1; i >= 0; i--) /* backwards: drop moves the last one here */
		deliver(s->players[i], b, n);
}

/* All whole tags, each with a send of its own unless they are gathered. */
static void tags(struct stream *s, int gather)
{
	size_t at = s->ready_len;
	for (;;) {
		if (s->skip) {
			size_t n = s->in_len - at < s->skip ? s->in_len - at : s->skip;
			memmove(s->in + at, s->in + at + n, (s->in_len -= n) - at);
			if ((s->skip -= n))
				return;
		}
		unsigned char *h = (unsigned char *)s->in + at;
		if (s->in_len - at < 11)
			break;
		size_t n = 11 + (h[1] << 16 | h[2] << 8 | h[3]) + 4;
		if (s->in_len - at < n)
			break;
		if (!gather)
			fan_out(s, s->in + at, n);
		at += n;
	}
	s->ready_len = at;
	if (!gather) {
		memmove(s->in, s->in + at, s->in_len -= at);
		s->ready_len = 0;
	}
}

/* Bytes that wait, of all streams. */
static size_t ready(void)
{
	size_t n = 0;
	for (int i = 0; i < stream_count; i++)
		n += streams[i].ready_len;
	return n;
}

static void flush_ready(void)
{
	for (struct stream *s = streams; s < streams + stream_count; s++) {
		if (!s->ready_len)
			continue;
		fan_out(s, s->in, s->ready_len);
		memmove(s->in, s->in + s->ready_len, s->in_len -= s->ready_len);
		s->ready_len = 0;
	}
}

/* The stream that a request's path names, made when it is new; NULL: a bad path, or too many streams. */
static struct stream *find(const char *path)
{
	size_t n = strcspn(path, " \r\n");
	if (n > 4 && !memcmp(path + n - 4, ".flv", 4))
		n -= 4;
	if (n >= NAME)
		return NULL;
	struct stream *s = streams, *end = streams + stream_count;
	while (s < end && (strlen(s->name) != n || memcmp(s->name, path, n)))
		s++;
	if (s < end)
		return s;
	if (stream_count == STREAMS || !(s->in = malloc(IN)))
		return NULL;
	memcpy(s->name, path, n);
	stream_count++;
	return s;
}

static int add(struct stream *s, struct conn *c)
{
	if (s->count == s->cap) {
		int cap = s->cap ? 2 * s->cap : 4;
		struct conn **more = realloc(s->players, cap * sizeof *more);
		if (!more)
			return 0;
		s->players = more;
		s->cap = cap;
	}
	c->place = s->count;
	s->players[s->count++] = c;
	return 1;
}

static void head(struct conn *c)
{
	ssize_t n = recv(c->fd, c->head + c->have, sizeof c->head - c->have, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(c);
		return;
	}
	c->have += n;
	char *end = memmem(c->head, c->have, "\r\n\r\n", 4);
	if (!end) {
		if (c->have == sizeof c->head)
			drop(c);
		return;
	}
	end += 4;
	int put = !strncmp(c->head, "PUT ", 4), get = !strncmp(c->head, "GET ", 4);
	struct stream *s = put || get ? find(c->head + 4) : NULL;
	if (!s || (put && s->publisher) || (get && !add(s, c))) {
		drop(c);
		return;
	}
	c->stream = s;
	if (put) {
		c->role = PUBLISHER;
		s->publisher = c;
		s->in_len = c->head + c->have - end;
		s->ready_len = 0;
		s->skip = 13;
		memcpy(s->in, end, s->in_len);
		return;
	}
	c->role = PLAYER;
	deliver(c, reply, sizeof reply);
}

static long long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void event(struct conn *c, uint32_t e, int gather)
{
	if (c->fd < 0)
		return;
	if (e & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		drop(c);
	} else if (c->role == PUBLISHER) {
		struct stream *s = c->stream;
		ssize_t n = recv(c->fd, s->in + s->in_len, IN - s->in_len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			drop(c);
		} else if (n > 0) {
			s->in_len += n;
			tags(s, gather);
			if (s->in_len == IN)
				drop(c); /* a tag larger than the buffer */
		}
	} else if (c->role == HEAD) {
		head(c);
	} else if (e & EPOLLOUT) {
		flush_rest(c);
	} else {
		char ignored[512];
		if (recv(c->fd, ignored, sizeof ignored, MSG_DONTWAIT) == 0)
			drop(c);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: floor PORT [FLUSH_MS]\n");
		return 2;
	}
	int gather = argc > 2 ? atoi(argv[2]) : 0, one = 1;
	struct rlimit l;
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	struct sigaction sa = { .sa_handler = on_signal };
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	static struct conn listener;
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	if (bind(listener.fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener.fd, 4096) < 0)
		fail("listen");
	ep = epoll_create1(0);
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
	long long due = 0;
	while (!stop) {
		struct epoll_event events[BATCH];
		long long t = gather && ready() ? now_ms() : 0;
		if (t && !due)
			due = t + gather;
		if (due && t >= due) {
			flush_ready();
			due = 0;
		}
		int n = epoll_wait(ep, events, BATCH, due ? (int)(due - t) : -1);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		struct conn *gone[BATCH];
		int gone_count = 0;
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (c != &listener) {
				event(c, events[i].events, gather);
				if (c->fd < 0)
					gone[gone_count++] = c;
				continue;
			}
			int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK);
			if (fd < 0)
				continue;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			struct conn *new = calloc(1, sizeof *new);
			if (!new)
				fail("calloc");
			new->fd = fd;
			watch(new, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
		}
		for (int i = 0; i < gone_count; i++)
			free(gone[i]);
	}
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	printf("floor: %llu sends, %.3f GB, %.2f CPU-s, %llu slow players closed\n", sends, sent / 1e9,
		u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6, closed_slow);
	return 0;
}
