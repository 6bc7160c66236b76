#ifndef CRC32_H
#define CRC32_H

#include <pappus.h>

#include "../stdio/stage.h"

/* The checksum of PNG and gzip. */
STAGE uint32_t crc32(const uint32_t table[256], const uint8_t *bytes, size_t len)
{
	uint32_t crc = 0xFFFFFFFF;
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
	return ~crc;
}

static void make_crc_table(uint32_t table[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
		table[i] = crc;
	}
}

#endif
