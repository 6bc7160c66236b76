/* A loop of shifts that nothing but running it tells the end of. */
#include <stdint.h>

static inline uint64_t busy(uint64_t rounds)
{
	uint64_t x = 0x123456789abcdef;
	for (uint64_t i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}
