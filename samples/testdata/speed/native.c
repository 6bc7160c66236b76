/* The same work on the machine itself: native matmul|busy N prints how many
 * nanoseconds the fastest of some rounds took, and what came out. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../matmul/multiply.h"
#include "busy.h"

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	volatile size_t n = strtoul(argv[2], 0, 10);
	int product = strcmp(argv[1], "matmul") == 0;
	uint64_t *m = malloc(n * n * sizeof(*m)), *out = malloc(n * n * sizeof(*m)), end = 0;
	if (product && (!m || !out))
		return 1;
	for (size_t i = 0; product && i < n * n; i++)
		m[i] = i * i;
	long long best = 0;
	for (int round = 0; round < 7; round++) {
		long long begun = now();
		if (product) {
			multiply_by_transpose(m, n, n, out);
			end = out[n * n - 1];
		} else {
			end = busy(n);
		}
		long long took = now() - begun;
		if (best == 0 || took < best)
			best = took;
	}
	printf("%lld %llu\n", best, (unsigned long long)end);
	return 0;
}
