// Gives a program another wall clock: SKEW seconds ahead of the machine's. Its monotonic clock stays
// right. (libfaketime and redis-server's jemalloc wait for each other.)
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long ahead(void) { const char *s = getenv("SKEW"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
	int r = syscall(SYS_clock_gettime, id, t);
	if (!r && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += ahead();
	return r;
}
int gettimeofday(struct timeval *t, void *zone) {
	struct timespec s;
	(void)zone;
	int r = clock_gettime(CLOCK_REALTIME, &s);
	t->tv_sec = s.tv_sec, t->tv_usec = s.tv_nsec / 1000;
	return r;
}
time_t time(time_t *out) {
	struct timespec s;
	clock_gettime(CLOCK_REALTIME, &s);
	if (out) *out = s.tv_sec;
	return s.tv_sec;
}
