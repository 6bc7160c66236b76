/* Decompresses zlib streams (RFC 1950): the checksum must be right, and nothing
 * may follow. */
#ifndef ZLIB_H
#define ZLIB_H

#include "inflate.h"

STAGE uint32_t adler32(const uint8_t *bytes, size_t len)
{
	const size_t most = 5552; /* as many add up within 32 bits */
	uint32_t a = 1, b = 0;
	while (len != 0) {
		size_t n = len < most ? len : most;
		len -= n;
		for (; n != 0; n--) {
			a += *bytes++;
			b += a;
		}
		a %= 65521;
		b %= 65521;
	}
	return b << 16 | a;
}

/* Decompresses all of a zlib stream into exactly size bytes; says what is wrong
 * with it, or NULL. */
STAGE const char *inflate(const uint8_t *stream, size_t len, uint8_t *to, size_t size)
{
	if (len < 2)
		return TRUNCATED;
	if ((stream[0] & 15) != 8 || stream[0] >> 4 > 7 || (stream[0] << 8 | stream[1]) % 31 != 0)
		return "the data are not compressed by zlib";
	if (stream[1] & 0x20)
		return "the data need a dictionary";
	struct bits b = {stream + 2, stream + len, 0, 0};
	struct sink out = {to, to, to + size};
	const char *wrong = inflate_blocks(&b, &out);
	if (wrong != NULL)
		return wrong;
	uint8_t sum[4];
	if (!take_bytes(&b, sum, sizeof(sum)))
		return TRUNCATED;
	if (!ended(&b))
		return "something follows the compressed data";
	if (((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3]) != adler32(to, size))
		return "the checksum of the data is wrong";
	return NULL;
}

#endif
