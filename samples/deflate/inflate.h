/* Decompresses what DEFLATE (RFC 1951) has compressed, to a size that is known.
 * It takes only what is right to the last bit: complete codes, distances that
 * stay inside, the exact size. */
#ifndef INFLATE_H
#define INFLATE_H

#include <pappus.h>

#include "../stdio/stage.h"
#include "format.h"

enum { FAST_BITS = 10 };

/* So that what they change is in variables where that matters. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A prefix code. Codes of up to FAST_BITS are found by one look at fast, whose
 * entries are symbol << 4 | length, or 0; longer ones bit by bit. */
struct code {
	uint16_t fast[1 << FAST_BITS];
	uint16_t count[MOST_CODE_BITS + 1]; /* of codes, by their length */
	uint16_t symbols[LITERALS];         /* in the order of their codes */
};

/* The compressed bits, the lowest first. hold has count of them that may be
 * taken; above those are zeros, or what comes at at. */
struct bits {
	const uint8_t *at, *end;
	uint64_t hold;
	unsigned count;
};

ALWAYS_INLINE void refill(struct bits *b)
{
	if (b->end - b->at >= 8) {
		uint64_t next; /* little-endian, as wasm is */
		memcpy(&next, b->at, sizeof(next));
		b->hold |= next << b->count;
		b->at += (63 - b->count) / 8;
		b->count |= 56;
		return;
	}
	while (b->count <= 56 && b->at < b->end) {
		b->hold |= (uint64_t)*b->at++ << b->count;
		b->count += 8;
	}
}

/* Takes up to 16 bits, of those that are there. */
ALWAYS_INLINE int take(struct bits *b, unsigned n, unsigned *value)
{
	if (b->count < n)
		refill(b);
	if (b->count < n)
		return 0;
	*value = (unsigned)b->hold & ((1u << n) - 1);
	b->hold >>= n;
	b->count -= n;
	return 1;
}

/* Makes the code whose lengths these are. It must be complete: no other one has
 * a meaning for all bits. Exempt are no code at all, and a single one of one
 * bit, as for one distance. */
STAGE int make_code(struct code *c, const uint8_t *lengths, unsigned n)
{
	memset(c->count, 0, sizeof(c->count));
	for (unsigned i = 0; i < n; i++)
		c->count[lengths[i]]++;
	unsigned used = n - c->count[0];
	c->count[0] = 0;
	int left = 1;
	uint16_t offset[MOST_CODE_BITS + 2], next[MOST_CODE_BITS + 2];
	offset[1] = next[1] = 0;
	for (unsigned len = 1; len <= MOST_CODE_BITS; len++) {
		left = left * 2 - c->count[len];
		if (left < 0)
			return 0;
		offset[len + 1] = (uint16_t)(offset[len] + c->count[len]);
		next[len + 1] = (uint16_t)((next[len] + c->count[len]) * 2);
	}
	if (left != 0 && used != 0 && !(used == 1 && c->count[1] == 1))
		return 0;
	memset(c->fast, 0, sizeof(c->fast));
	for (unsigned symbol = 0; symbol < n; symbol++) {
		unsigned len = lengths[symbol];
		if (len == 0)
			continue;
		c->symbols[offset[len]++] = (uint16_t)symbol;
		unsigned bits = next[len]++;
		if (len > FAST_BITS)
			continue;
		unsigned reversed = 0; /* codes come with their highest bit first */
		for (unsigned i = 0; i < len; i++)
			reversed |= (bits >> i & 1) << (len - 1 - i);
		for (; reversed < 1u << FAST_BITS; reversed += 1u << len)
			c->fast[reversed] = (uint16_t)(symbol << 4 | len);
	}
	return 1;
}

/* The next symbol; -1 if the bits are none, or end before it does. */
ALWAYS_INLINE int take_symbol(struct bits *b, const struct code *c)
{
	if (b->count < MOST_CODE_BITS)
		refill(b);
	unsigned entry = c->fast[b->hold & ((1u << FAST_BITS) - 1)], len = entry & 15;
	int symbol = (int)(entry >> 4);
	if (len == 0) {
		int bits = 0, first = 0, index = 0;
		for (;;) {
			if (++len > MOST_CODE_BITS)
				return -1;
			bits |= (int)(b->hold >> (len - 1) & 1);
			if (bits - first < c->count[len])
				break;
			index += c->count[len];
			first = (first + c->count[len]) * 2;
			bits *= 2;
		}
		symbol = c->symbols[index + bits - first];
	}
	if (len > b->count)
		return -1;
	b->hold >>= len;
	b->count -= len;
	return symbol;
}

/* Where decompressed bytes go. */
struct sink {
	uint8_t *begin, *at, *end;
};

static const char TRUNCATED[] = "the compressed data are cut short";
static const char TOO_MUCH[] = "there are more data than there should be";

STAGE const char *stored_block(struct bits *b, struct sink *out)
{
	unsigned rest, len, inverse;
	if (!take(b, b->count % 8, &rest) || !take(b, 16, &len) || !take(b, 16, &inverse))
		return TRUNCATED;
	if (len != (inverse ^ 0xFFFF))
		return "the length of stored data contradicts itself";
	if (len > (size_t)(out->end - out->at))
		return TOO_MUCH;
	for (; len != 0 && b->count != 0; len--) {
		*out->at++ = (uint8_t)b->hold;
		b->hold >>= 8;
		b->count -= 8;
	}
	if (len > (size_t)(b->end - b->at))
		return TRUNCATED;
	if (len != 0) {
		memcpy(out->at, b->at, len);
		b->at += len;
		b->hold = 0; /* refill has looked ahead at what was just taken */
		out->at += len;
	}
	return NULL;
}

/* Reads the codes at the start of a block. */
STAGE const char *read_codes(struct bits *b, struct code *literals, struct code *distances)
{
	uint8_t lengths[LITERALS + DISTANCES] = {0};
	unsigned nliterals, ndistances, nlengths, len;
	if (!take(b, 5, &nliterals) || !take(b, 5, &ndistances) || !take(b, 4, &nlengths))
		return TRUNCATED;
	nliterals += 257, ndistances += 1, nlengths += 4;
	if (nliterals > 286 || ndistances > 30)
		return "a code has too many symbols";
	for (unsigned i = 0; i < nlengths; i++) {
		if (!take(b, 3, &len))
			return TRUNCATED;
		lengths[length_order[i]] = (uint8_t)len;
	}
	if (!make_code(literals, lengths, sizeof(length_order)))
		return "the code of code lengths is not complete";
	memset(lengths, 0, sizeof(length_order));
	for (unsigned i = 0; i < nliterals + ndistances;) {
		int symbol = take_symbol(b, literals);
		if (symbol < 0)
			return "a code length is wrong or cut short";
		if (symbol < 16) {
			lengths[i++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == 16 && i == 0)
			return "the first code length repeats one before it";
		uint8_t repeated = symbol == 16 ? lengths[i - 1] : 0;
		if (!take(b, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &len))
			return TRUNCATED;
		len += symbol == 18 ? 11 : 3;
		if (len > nliterals + ndistances - i)
			return "there are too many code lengths";
		while (len-- != 0)
			lengths[i++] = repeated;
	}
	if (lengths[END_OF_BLOCK] == 0)
		return "a block can't end";
	if (!make_code(literals, lengths, nliterals) || !make_code(distances, lengths + nliterals, ndistances))
		return "a code is not complete";
	return NULL;
}

static void make_fixed_codes(struct code *literals, struct code *distances)
{
	uint8_t lengths[LITERALS];
	fixed_literals(lengths);
	make_code(literals, lengths, LITERALS);
	memset(lengths, FIXED_DISTANCE_BITS, DISTANCES);
	make_code(distances, lengths, DISTANCES);
}

STAGE const char *compressed_block(struct bits *bits, const struct code *literals, const struct code *distances, struct sink *out)
{
	struct bits local = *bits, *b = &local; /* which need not be in memory */
	for (;;) {
		int symbol = take_symbol(b, literals);
		if (symbol < 0)
			return "a symbol is wrong or cut short";
		if (symbol == END_OF_BLOCK) {
			*bits = local;
			return NULL;
		}
		if (symbol < END_OF_BLOCK) {
			if (out->at == out->end)
				return TOO_MUCH;
			*out->at++ = (uint8_t)symbol;
			continue;
		}
		unsigned l = (unsigned)symbol - END_OF_BLOCK - 1, more;
		if (l >= sizeof(length_bits))
			return "a symbol has no meaning";
		if (!take(b, length_bits[l], &more))
			return TRUNCATED;
		size_t len = length_base[l] + more;
		int d = take_symbol(b, distances);
		if (d < 0 || d >= (int)sizeof(distance_bits))
			return "a distance is wrong or cut short";
		if (!take(b, distance_bits[d], &more))
			return TRUNCATED;
		size_t distance = distance_base[d] + more;
		if (distance > (size_t)(out->at - out->begin))
			return "a distance reaches before the start of the data";
		if (len > (size_t)(out->end - out->at))
			return TOO_MUCH;
		const uint8_t *from = out->at - distance;
		uint8_t *to = out->at;
		out->at += len;
		if (distance >= len)
			memcpy(to, from, len);
		else
			while (to < out->at)
				*to++ = *from++;
	}
}

/* Decompresses blocks up to the last one, which must fill the sink; says what is
 * wrong with them, or NULL. */
static const char *inflate_blocks(struct bits *b, struct sink *out)
{
	struct code literals, distances;
	unsigned last, kind;
	do {
		const char *wrong = NULL;
		if (!take(b, 1, &last) || !take(b, 2, &kind))
			return TRUNCATED;
		if (kind == 0) {
			wrong = stored_block(b, out);
		} else if (kind == 3) {
			return "a block is of no known kind";
		} else {
			if (kind == 1)
				make_fixed_codes(&literals, &distances);
			else
				wrong = read_codes(b, &literals, &distances);
			if (wrong == NULL)
				wrong = compressed_block(b, &literals, &distances, out);
		}
		if (wrong != NULL)
			return wrong;
	} while (!last);
	return out->at == out->end ? NULL : "there are fewer data than there should be";
}

/* Takes n bytes that begin at the next byte's first bit. */
static int take_bytes(struct bits *b, uint8_t *bytes, unsigned n)
{
	unsigned byte;
	if (!take(b, b->count % 8, &byte))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (!take(b, 8, &byte))
			return 0;
		bytes[i] = (uint8_t)byte;
	}
	return 1;
}

static int ended(const struct bits *b) { return b->count == 0 && b->at == b->end; }

#endif
