/* The functions that compilers call on their own. OWN_LOOP keeps the loops
 * from being turned into calls of what they implement. Eight bytes at a time:
 * wasm and aarch64 allow loads and stores at any address. */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t __attribute__((aligned(1), may_alias)) word;

#ifdef __clang__
#define OWN_LOOP __attribute__((no_builtin))
#else
#define OWN_LOOP __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

OWN_LOOP void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;
	for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word), s += sizeof(word))
		*(word *)d = *(const word *)s;
	for (; n != 0; n--)
		*d++ = *s++;
	return dst;
}

OWN_LOOP void *memmove(void *dst, const void *src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;
	/* Forward copying is safe unless dst lies inside [src, src + n). */
	if ((uintptr_t)d - (uintptr_t)s >= n) {
		for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word), s += sizeof(word))
			*(word *)d = *(const word *)s;
		for (; n != 0; n--)
			*d++ = *s++;
		return dst;
	}
	for (; n >= sizeof(word); n -= sizeof(word))
		*(word *)(d + n - sizeof(word)) = *(const word *)(s + n - sizeof(word));
	for (; n != 0; n--)
		d[n - 1] = s[n - 1];
	return dst;
}

OWN_LOOP void *memset(void *dst, int value, size_t n)
{
	unsigned char *d = dst;
	uint64_t pattern = (unsigned char)value * UINT64_C(0x0101010101010101);
	for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word))
		*(word *)d = pattern;
	for (; n != 0; n--)
		*d++ = (unsigned char)value;
	return dst;
}

OWN_LOOP int memcmp(const void *left, const void *right, size_t n)
{
	const unsigned char *l = left, *r = right;
	for (; n >= sizeof(word) && *(const word *)l == *(const word *)r; n -= sizeof(word))
		l += sizeof(word), r += sizeof(word);
	for (; n != 0; n--, l++, r++)
		if (*l != *r)
			return *l < *r ? -1 : 1;
	return 0;
}

OWN_LOOP size_t strlen(const char *s)
{
	size_t n = 0;
	while (s[n] != 0)
		n++;
	return n;
}
