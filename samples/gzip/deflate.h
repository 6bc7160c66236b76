/* Compresses with DEFLATE (RFC 1951): finds what has been there before by hashes
 * of three bytes, and writes each block in the shortest of its three forms. */
#ifndef DEFLATE_H
#define DEFLATE_H

#include <pappus.h>

#include "../deflate/format.h"
#include "../stdio/stage.h"

enum {
	WINDOW = 1 << 15,
	HASH_BITS = 15,
	MOST_LOOKS = 64, /* at places that begin alike */
	GOOD_MATCH = 64, /* at which there is no looking for a better one */
	LEAST_MATCH = 3,
	MOST_MATCH = 258,
	BLOCK_TOKENS = 1 << 14,
	MOST_STORED = 65535,
	LENGTH_CODES = 19,
	MOST_LENGTH_CODE_BITS = 7,
	USED_LITERALS = 286,
	USED_DISTANCES = 30,
};

/* A prefix code; its bits come in the order in which they are written. */
struct prefix {
	uint8_t lengths[LITERALS];
	uint16_t bits[LITERALS];
};

struct deflater {
	/* Places are counted from 1 on, so that 0 is none. */
	uint32_t head[1 << HASH_BITS], before[WINDOW];
	/* A literal, or length << 16 | distance. */
	uint32_t tokens[BLOCK_TOKENS];
	size_t ntokens;
	uint32_t literal_counts[LITERALS], distance_counts[DISTANCES];
	struct prefix literals, distances, lengths;
	/* The lengths of both codes in fewer symbols: extra << 8 | symbol. */
	uint16_t packed[LITERALS + DISTANCES];
	size_t npacked;
	/* The output, whose last bits are in hold. */
	uint8_t *to;
	uint64_t hold;
	unsigned count;
};

/* As many bytes as len bytes can become: stored ones, and what each block adds,
 * of which all but the last have at least as many bytes as tokens. */
static inline size_t deflate_most(size_t len) { return len + len / BLOCK_TOKENS * 12 + 32; }

/* Writes up to 32 bits. */
static inline void put(struct deflater *d, uint32_t bits, unsigned n)
{
	d->hold |= (uint64_t)bits << d->count;
	for (d->count += n; d->count >= 8; d->count -= 8, d->hold >>= 8)
		*d->to++ = (uint8_t)d->hold;
}

static void put_rest(struct deflater *d)
{
	if (d->count != 0)
		put(d, 0, 8 - d->count);
}

/* floor(log2(n)), for what is not 0. */
static inline unsigned log_of(uint32_t n) { return 31 - (unsigned)__builtin_clz(n); }

/* The number of the symbol for a length, from 0 on, and for a distance. */
static inline unsigned length_symbol(unsigned len)
{
	unsigned n = len - LEAST_MATCH;
	if (len == MOST_MATCH)
		return 28;
	return n < 4 ? n : 4 * (log_of(n) - 1) + (n >> (log_of(n) - 2) & 3);
}

static inline unsigned distance_symbol(unsigned distance)
{
	unsigned n = distance - 1;
	return n < 2 ? n : 2 * log_of(n) + (n >> (log_of(n) - 1) & 1);
}

/* Finds the lengths of a prefix code for symbols that occur so often, by
 * Huffman's way: the two rarest become one. Where a code gets too long, rare
 * symbols are taken for less rare. */
STAGE void find_lengths(const uint32_t *counts, unsigned n, unsigned most_bits, uint8_t *lengths)
{
	uint16_t symbols[LITERALS], parent[2 * LITERALS];
	uint32_t weight[2 * LITERALS];
	unsigned used = 0;
	memset(lengths, 0, n);
	for (unsigned s = 0; s < n; s++) {
		if (counts[s] == 0)
			continue;
		unsigned i = used++;
		for (; i > 0 && counts[symbols[i - 1]] > counts[s]; i--)
			symbols[i] = symbols[i - 1];
		symbols[i] = (uint16_t)s;
	}
	if (used == 1)
		lengths[symbols[0]] = 1;
	if (used < 2)
		return;
	for (unsigned shift = 0;; shift++) {
		for (unsigned i = 0; i < used; i++)
			weight[i] = ((counts[symbols[i]] - 1) >> shift) + 1;
		/* Leaves and what they became are both in order of weight. */
		unsigned leaf = 0, inner = used;
		for (unsigned next = used; next < 2 * used - 1; next++) {
			weight[next] = 0;
			for (int i = 0; i < 2; i++) {
				unsigned least = leaf < used && (inner == next || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
				weight[next] += weight[least];
				parent[least] = (uint16_t)next;
			}
		}
		/* From the root down, weights are no longer needed, depths are. */
		unsigned deepest = 0;
		weight[2 * used - 2] = 0;
		for (unsigned i = 2 * used - 2; i-- > 0;) {
			weight[i] = weight[parent[i]] + 1;
			if (i < used && weight[i] > deepest)
				deepest = weight[i];
		}
		if (deepest <= most_bits)
			break;
	}
	for (unsigned i = 0; i < used; i++)
		lengths[symbols[i]] = (uint8_t)weight[i];
}

/* Gives the symbols of a code their bits. */
static void find_bits(struct prefix *p, unsigned n)
{
	unsigned count[MOST_CODE_BITS + 1] = {0}, next[MOST_CODE_BITS + 1] = {0};
	for (unsigned s = 0; s < n; s++)
		count[p->lengths[s]]++;
	count[0] = 0;
	for (unsigned len = 1; len <= MOST_CODE_BITS; len++)
		next[len] = (next[len - 1] + count[len - 1]) << 1;
	for (unsigned s = 0; s < n; s++) {
		unsigned len = p->lengths[s], bits = next[len]++, reversed = 0;
		for (unsigned i = 0; i < len; i++)
			reversed |= (bits >> i & 1) << (len - 1 - i);
		p->bits[s] = (uint16_t)reversed;
	}
}

static inline void put_symbol(struct deflater *d, const struct prefix *p, unsigned symbol) { put(d, p->bits[symbol], p->lengths[symbol]); }

/* How many bits the block's symbols take in codes of these lengths. */
static uint64_t size_of_tokens(const struct deflater *d, const uint8_t *literals, const uint8_t *distances)
{
	uint64_t size = 0;
	for (unsigned s = 0; s < USED_LITERALS; s++)
		size += (uint64_t)d->literal_counts[s] * (literals[s] + (s > END_OF_BLOCK ? length_bits[s - END_OF_BLOCK - 1] : 0u));
	for (unsigned s = 0; s < USED_DISTANCES; s++)
		size += (uint64_t)d->distance_counts[s] * (distances[s] + distance_bits[s]);
	return size;
}

/* Packs the first lengths of both codes, where some repeat: 16 is the one before
 * 3 to 6 times, 17 and 18 are zeros. */
static void pack_lengths(struct deflater *d, unsigned nliterals, unsigned ndistances, uint32_t counts[LENGTH_CODES])
{
	uint8_t all[LITERALS + DISTANCES];
	unsigned n = nliterals + ndistances;
	memcpy(all, d->literals.lengths, nliterals);
	memcpy(all + nliterals, d->distances.lengths, ndistances);
	d->npacked = 0;
	for (unsigned i = 0; i < n;) {
		unsigned len = all[i], run = 1, symbol = len, extra = 0;
		while (i + run < n && all[i + run] == len)
			run++;
		if (len == 0 && run >= 3) {
			run = run < 138 ? run : 138;
			symbol = run < 11 ? 17 : 18;
			extra = run - (run < 11 ? 3 : 11);
		} else if (i > 0 && all[i - 1] == len && run >= 3) {
			run = run < 6 ? run : 6;
			symbol = 16;
			extra = run - 3;
		} else {
			run = 1;
		}
		d->packed[d->npacked++] = (uint16_t)(extra << 8 | symbol);
		counts[symbol]++;
		i += run;
	}
}

static inline unsigned bits_behind(unsigned length_code) { return length_code < 16 ? 0 : length_code == 16 ? 2 : length_code == 17 ? 3 : 7; }

static void put_tokens(struct deflater *d)
{
	for (size_t i = 0; i < d->ntokens; i++) {
		unsigned len = d->tokens[i] >> 16, distance = d->tokens[i] & 0xFFFF;
		if (len == 0) {
			put_symbol(d, &d->literals, distance);
			continue;
		}
		unsigned l = length_symbol(len), s = distance_symbol(distance);
		put_symbol(d, &d->literals, END_OF_BLOCK + 1 + l);
		put(d, len - length_base[l], length_bits[l]);
		put_symbol(d, &d->distances, s);
		put(d, distance - distance_base[s], distance_bits[s]);
	}
	put_symbol(d, &d->literals, END_OF_BLOCK);
}

static void put_stored(struct deflater *d, const uint8_t *data, size_t len, int last)
{
	do {
		unsigned n = len < MOST_STORED ? (unsigned)len : MOST_STORED;
		put(d, last && n == len, 1);
		put(d, 0, 2);
		put_rest(d);
		put(d, n | (n ^ 0xFFFF) << 16, 32);
		if (n != 0)
			memcpy(d->to, data, n);
		d->to += n;
		data += n;
		len -= n;
	} while (len != 0);
}

/* Writes the block of the tokens, which stand for data. */
STAGE void put_block(struct deflater *d, const uint8_t *data, size_t len, int last)
{
	uint8_t fixed[LITERALS], fixed_distances[DISTANCES];
	fixed_literals(fixed);
	memset(fixed_distances, FIXED_DISTANCE_BITS, DISTANCES);
	d->literal_counts[END_OF_BLOCK] = 1;

	find_lengths(d->literal_counts, USED_LITERALS, MOST_CODE_BITS, d->literals.lengths);
	find_lengths(d->distance_counts, USED_DISTANCES, MOST_CODE_BITS, d->distances.lengths);
	unsigned nliterals = USED_LITERALS, ndistances = USED_DISTANCES, nlengths = LENGTH_CODES;
	while (nliterals > END_OF_BLOCK + 1 && d->literals.lengths[nliterals - 1] == 0)
		nliterals--;
	while (ndistances > 1 && d->distances.lengths[ndistances - 1] == 0)
		ndistances--;
	uint32_t counts[LENGTH_CODES] = {0};
	pack_lengths(d, nliterals, ndistances, counts);
	find_lengths(counts, LENGTH_CODES, MOST_LENGTH_CODE_BITS, d->lengths.lengths);
	while (nlengths > 4 && d->lengths.lengths[length_order[nlengths - 1]] == 0)
		nlengths--;

	uint64_t own_size = 5 + 5 + 4 + 3 * nlengths + size_of_tokens(d, d->literals.lengths, d->distances.lengths);
	for (unsigned s = 0; s < LENGTH_CODES; s++)
		own_size += (uint64_t)counts[s] * (d->lengths.lengths[s] + bits_behind(s));
	uint64_t fixed_size = size_of_tokens(d, fixed, fixed_distances);
	uint64_t stored_size = 8 * (uint64_t)len + 40 * (len / MOST_STORED + 1);
	if (stored_size <= own_size && stored_size <= fixed_size) {
		put_stored(d, data, len, last);
	} else if (fixed_size <= own_size) {
		memcpy(d->literals.lengths, fixed, sizeof(fixed));
		memcpy(d->distances.lengths, fixed_distances, sizeof(fixed_distances));
		find_bits(&d->literals, LITERALS);
		find_bits(&d->distances, DISTANCES);
		put(d, (last != 0) | 1 << 1, 3);
		put_tokens(d);
	} else {
		find_bits(&d->literals, USED_LITERALS);
		find_bits(&d->distances, USED_DISTANCES);
		find_bits(&d->lengths, LENGTH_CODES);
		put(d, (last != 0) | 2 << 1, 3);
		put(d, nliterals - 257, 5);
		put(d, ndistances - 1, 5);
		put(d, nlengths - 4, 4);
		for (unsigned i = 0; i < nlengths; i++)
			put(d, d->lengths.lengths[length_order[i]], 3);
		for (size_t i = 0; i < d->npacked; i++) {
			unsigned symbol = d->packed[i] & 255;
			put_symbol(d, &d->lengths, symbol);
			put(d, d->packed[i] >> 8, bits_behind(symbol));
		}
		put_tokens(d);
	}
	d->ntokens = 0;
	memset(d->literal_counts, 0, sizeof(d->literal_counts));
	memset(d->distance_counts, 0, sizeof(d->distance_counts));
}

static inline uint32_t hash(const uint8_t *at) { return (at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16) * 2654435761u >> (32 - HASH_BITS); }

/* Remembers the place i, if three bytes are there. */
static inline void remember(struct deflater *d, const uint8_t *data, size_t len, size_t i)
{
	if (len - i < LEAST_MATCH)
		return;
	uint32_t h = hash(data + i);
	d->before[i % WINDOW] = d->head[h];
	d->head[h] = (uint32_t)i + 1;
}

/* The longest match for what is at i, if longer than best, and its distance. i
 * itself is not remembered yet. */
static unsigned match(const struct deflater *d, const uint8_t *data, size_t len, size_t i, unsigned best, unsigned *distance)
{
	size_t most = len - i < MOST_MATCH ? len - i : MOST_MATCH;
	if (most < LEAST_MATCH || best >= most)
		return 0;
	unsigned found = 0;
	uint32_t place = d->head[hash(data + i)];
	for (int looks = MOST_LOOKS; place != 0 && looks > 0; looks--) {
		size_t from = place - 1;
		if (i - from > WINDOW)
			break;
		if (data[from + best] == data[i + best]) {
			unsigned n = 0;
			while (n < most && data[from + n] == data[i + n])
				n++;
			if (n > best) {
				best = found = n;
				*distance = (unsigned)(i - from);
				if (n == most || n >= GOOD_MATCH)
					break;
			}
		}
		uint32_t next = d->before[from % WINDOW];
		if (next >= place)
			break; /* of a place that has been overwritten */
		place = next;
	}
	return found;
}

static inline void add_literal(struct deflater *d, uint8_t byte)
{
	d->tokens[d->ntokens++] = byte;
	d->literal_counts[byte]++;
}

static inline void add_match(struct deflater *d, unsigned len, unsigned distance)
{
	d->tokens[d->ntokens++] = (uint32_t)len << 16 | distance;
	d->literal_counts[END_OF_BLOCK + 1 + length_symbol(len)]++;
	d->distance_counts[distance_symbol(distance)]++;
}

/* Compresses data to a place that has room for deflate_most(len) bytes; returns
 * where they end. */
static uint8_t *deflate(struct deflater *d, const uint8_t *data, size_t len, uint8_t *to)
{
	memset(d, 0, sizeof(*d));
	d->to = to;
	size_t begin = 0; /* of the block */
	for (size_t i = 0; i < len;) {
		unsigned distance = 0, next_distance = 0;
		unsigned n = match(d, data, len, i, LEAST_MATCH - 1, &distance);
		remember(d, data, len, i);
		/* A longer match one byte later is worth a literal. */
		if (n != 0 && n < GOOD_MATCH && i + 1 < len && match(d, data, len, i + 1, n, &next_distance) != 0)
			n = 0;
		if (n == 0) {
			add_literal(d, data[i++]);
		} else {
			add_match(d, n, distance);
			for (size_t end = i + n; ++i < end;)
				remember(d, data, len, i);
		}
		if (d->ntokens == BLOCK_TOKENS && i < len) {
			put_block(d, data + begin, i - begin, 0);
			begin = i;
		}
	}
	put_block(d, data + begin, len - begin, 1);
	put_rest(d);
	return d->to;
}

#endif
