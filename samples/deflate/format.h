/* The numbers of DEFLATE (RFC 1951), for both directions. */
#ifndef FORMAT_H
#define FORMAT_H

#include <pappus.h>

enum {
	MOST_CODE_BITS = 15,
	LITERALS = 288,
	DISTANCES = 32,
	END_OF_BLOCK = 256,
	FIXED_DISTANCE_BITS = 5,
};

/* What the symbols for lengths, from END_OF_BLOCK + 1 on, and those for
 * distances begin at, and how many bits follow. */
static const uint16_t length_base[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_bits[] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* The order in which the lengths of the code of code lengths come. */
static const uint8_t length_order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

/* The lengths of the fixed code for literals, lengths and the end. */
static inline void fixed_literals(uint8_t *lengths)
{
	memset(lengths, 8, 144);
	memset(lengths + 144, 9, 256 - 144);
	memset(lengths + 256, 7, 280 - 256);
	memset(lengths + 280, 8, LITERALS - 280);
}

#endif
