/* Decodes PNG: every colour type and depth, interlaced or not. Samples of 16
 * bits are rounded to 8; gamma, profiles and all other chunks that may be left
 * out are. What the format forbids is refused, wherever it can be seen. */
#ifndef PNG_H
#define PNG_H

#include "../deflate/crc32.h"
#include "../deflate/zlib.h"
#include "../image/pixels.h"
#include "decoded.h"

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

static inline int is_png(const uint8_t *bytes, size_t len)
{
	return len >= sizeof(png_signature) && memcmp(bytes, png_signature, sizeof(png_signature)) == 0;
}

struct png {
	uint32_t width, height;
	unsigned depth, type, channels, interlaced;
	unsigned colours;         /* in the palette */
	uint8_t palette[256 * 4]; /* with alpha */
	int has_transparent;      /* one grey or colour is transparent: */
	unsigned transparent[3];
	uint8_t *data; /* what is compressed, all in one */
	size_t data_len;
};

STAGE struct decoded read_header(struct png *p, const uint8_t *chunk, size_t len)
{
	if (len != 13)
		return damaged("the header is wrong");
	p->width = get_big_u32(chunk);
	p->height = get_big_u32(chunk + 4);
	p->depth = chunk[8];
	p->type = chunk[9];
	p->interlaced = chunk[12];
	if (p->width == 0 || p->height == 0)
		return damaged("the image has no pixels");
	/* The depths that a type may have, as bits. */
	unsigned depths = 0;
	switch (p->type) {
	case GREY: p->channels = 1, depths = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16; break;
	case PALETTE: p->channels = 1, depths = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8; break;
	case RGB: p->channels = 3, depths = 1 << 8 | 1 << 16; break;
	case GREY_ALPHA: p->channels = 2, depths = 1 << 8 | 1 << 16; break;
	case RGB_ALPHA: p->channels = 4, depths = 1 << 8 | 1 << 16; break;
	}
	if (p->depth > 16 || !(depths >> p->depth & 1))
		return damaged("there is no such colour type of that depth");
	if (chunk[10] != 0 || chunk[11] != 0 || p->interlaced > 1)
		return damaged("compression, filter or interlacing are of no known kind");
	if (!pixels_fit(p->width, p->height))
		return DECODED_TOO_LARGE;
	return DECODED_WELL;
}

STAGE const char *read_palette(struct png *p, const uint8_t *chunk, size_t len)
{
	size_t n = len / 3;
	if (p->type == GREY || p->type == GREY_ALPHA || p->colours != 0 || p->has_transparent)
		return "there is a palette where none may be";
	if (len % 3 != 0 || n == 0 || n > 256 || (p->type == PALETTE && n > 1u << p->depth))
		return "the palette has a wrong size";
	for (size_t i = 0; i < n; i++) {
		memcpy(p->palette + 4 * i, chunk + 3 * i, 3);
		p->palette[4 * i + 3] = 255;
	}
	p->colours = (unsigned)n;
	return NULL;
}

STAGE const char *read_transparency(struct png *p, const uint8_t *chunk, size_t len)
{
	if (p->has_transparent || p->type == GREY_ALPHA || p->type == RGB_ALPHA || (p->type == PALETTE && p->colours == 0))
		return "there is transparency where none may be";
	p->has_transparent = 1;
	if (p->type == PALETTE) {
		if (len == 0 || len > p->colours)
			return "the transparency has a wrong size";
		for (size_t i = 0; i < len; i++)
			p->palette[4 * i + 3] = chunk[i];
		return NULL;
	}
	if (len != 2 * p->channels)
		return "the transparency has a wrong size";
	for (unsigned i = 0; i < p->channels; i++) {
		p->transparent[i] = (unsigned)chunk[2 * i] << 8 | chunk[2 * i + 1];
		if (p->transparent[i] >> p->depth != 0)
			return "the transparent colour is none of the image's";
	}
	return NULL;
}

static uint32_t name_of(const char *name) { return get_big_u32((const uint8_t *)name); }

/* Reads all chunks, and moves compressed data together, in place. */
STAGE struct decoded read_chunks(struct png *p, uint8_t *at, uint8_t *end)
{
	uint32_t table[256];
	make_crc_table(table);
	uint32_t before = 0;
	for (;;) {
		if (end - at < 12)
			return damaged("the file is cut short");
		size_t len = get_big_u32(at);
		if (len > (size_t)(end - at) - 12)
			return damaged("a chunk is longer than the file");
		uint8_t *content = at + 8;
		uint32_t kind = get_big_u32(at + 4);
		if (crc32(table, at + 4, len + 4) != get_big_u32(content + len))
			return damaged("the checksum of a chunk is wrong");
		at = content + len + 4;

		const char *wrong = NULL;
		if (before == 0 || kind == name_of("IHDR")) {
			if (before != 0 || kind != name_of("IHDR"))
				return damaged("the header is not the first chunk");
			struct decoded header = read_header(p, content, len);
			if (header.outcome != DECODED)
				return header;
		} else if (kind == name_of("PLTE")) {
			wrong = p->data != NULL ? "the palette follows the pixels" : read_palette(p, content, len);
		} else if (kind == name_of("tRNS")) {
			wrong = p->data != NULL ? "the transparency follows the pixels" : read_transparency(p, content, len);
		} else if (kind == name_of("IDAT")) {
			if (p->data == NULL)
				p->data = content;
			else if (before != kind)
				return damaged("the pixels are not in one place");
			memmove(p->data + p->data_len, content, len);
			p->data_len += len;
		} else if (kind == name_of("IEND")) {
			if (len != 0 || p->data == NULL || (p->type == PALETTE && p->colours == 0))
				return damaged("the image ends without pixels or palette");
			return DECODED_WELL;
		} else if (!(kind >> 29 & 1)) { /* a small letter: it may be left out */
			wrong = "a chunk that must be understood is of no known kind";
		}
		if (wrong != NULL)
			return damaged(wrong);
		before = kind;
	}
}

/* Takes the filter of a row back. above is the row above it, or NULL; step is
 * how many bytes lie from one pixel to the next. */
STAGE int unfilter(unsigned filter, uint8_t *row, const uint8_t *above, size_t len, size_t step)
{
	size_t i = 0;
	switch (filter) {
	case 0:
		return 1;
	case 1:
		for (i = step; i < len; i++)
			row[i] = (uint8_t)(row[i] + row[i - step]);
		return 1;
	case 2:
		if (above != NULL)
			for (; i < len; i++)
				row[i] = (uint8_t)(row[i] + above[i]);
		return 1;
	case 3:
		for (; i < len; i++)
			row[i] = (uint8_t)(row[i] + ((i < step ? 0 : row[i - step]) + (above == NULL ? 0 : above[i])) / 2);
		return 1;
	case 4:
		if (above == NULL)
			return unfilter(1, row, above, len, step);
		for (; i < step && i < len; i++)
			row[i] = (uint8_t)(row[i] + above[i]);
		for (; i < len; i++) {
			int left = row[i - step], up = above[i], corner = above[i - step];
			int to_left = up - corner, to_up = left - corner, to_corner = to_left + to_up;
			to_left = to_left < 0 ? -to_left : to_left;
			to_up = to_up < 0 ? -to_up : to_up;
			to_corner = to_corner < 0 ? -to_corner : to_corner;
			int nearest = to_left <= to_up && to_left <= to_corner ? left : to_up <= to_corner ? up : corner;
			row[i] = (uint8_t)(row[i] + nearest);
		}
		return 1;
	}
	return 0;
}

/* The i-th sample of a row. */
static inline unsigned sample(const uint8_t *row, size_t i, unsigned depth)
{
	if (depth == 8)
		return row[i];
	if (depth == 16)
		return (unsigned)row[2 * i] << 8 | row[2 * i + 1];
	size_t bit = i * depth;
	return row[bit / 8] >> (8 - depth - bit % 8) & ((1u << depth) - 1);
}

/* The sample in 8 bits, rounded. */
static inline uint8_t in_8_bits(unsigned v, unsigned depth)
{
	switch (depth) {
	case 1: return (uint8_t)(v * 255);
	case 2: return (uint8_t)(v * 85);
	case 4: return (uint8_t)(v * 17);
	case 8: return (uint8_t)v;
	default: return (uint8_t)((v * 255 + 32895) >> 16);
	}
}

/* Writes n pixels of a row of 8 bits, each step bytes behind the one before:
 * most images are of these. */
STAGE void expand_bytes(unsigned channels, const uint8_t *row, size_t n, uint8_t *to, size_t step)
{
	unsigned green = channels >= 3 ? 1 : 0, blue = 2 * green, has_alpha = channels % 2 == 0;
	for (size_t i = 0; i < n; i++, row += channels, to += step) {
		to[0] = row[0];
		to[1] = row[green];
		to[2] = row[blue];
		to[3] = has_alpha ? row[channels - 1] : 255;
	}
}

/* The same for any row; returns 0 if a colour is not in the palette. */
STAGE int expand(const struct png *p, const uint8_t *row, size_t n, uint8_t *to, size_t step)
{
	unsigned depth = p->depth, channels = p->channels;
	if (depth == 8 && p->type != PALETTE && !p->has_transparent) {
		expand_bytes(channels, row, n, to, step);
		return 1;
	}
	for (size_t i = 0; i < n; i++, to += step) {
		if (p->type == PALETTE) {
			unsigned colour = sample(row, i, depth);
			if (colour >= p->colours)
				return 0;
			memcpy(to, p->palette + 4 * colour, 4);
			continue;
		}
		unsigned v[4];
		for (unsigned c = 0; c < channels; c++)
			v[c] = sample(row, i * channels + c, depth);
		to[0] = in_8_bits(v[0], depth);
		if (channels >= 3)
			to[1] = in_8_bits(v[1], depth), to[2] = in_8_bits(v[2], depth);
		else
			to[1] = to[2] = to[0];
		if (channels % 2 == 0)
			to[3] = in_8_bits(v[channels - 1], depth);
		else
			to[3] = p->has_transparent && v[0] == p->transparent[0] &&
				(channels == 1 || (v[1] == p->transparent[1] && v[2] == p->transparent[2])) ? 0 : 255;
	}
	return 1;
}

/* A part of the image that is stored as an image of its own: all of it, or one
 * of the seven of an interlaced one. */
struct pass {
	uint32_t x, y, dx, dy;
};

static const struct pass whole[] = {{0, 0, 1, 1}};
static const struct pass adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

/* How many columns and rows of the image are in a pass, and how many bytes a row
 * has. Without columns there are no rows. */
static void extent(const struct png *p, const struct pass *s, size_t *columns, size_t *rows, size_t *bytes)
{
	*columns = p->width > s->x ? (p->width - s->x + s->dx - 1) / s->dx : 0;
	*rows = *columns != 0 && p->height > s->y ? (p->height - s->y + s->dy - 1) / s->dy : 0;
	/* At most 16,000,000 pixels of 64 bits: it fits. */
	size_t bits = p->depth * p->channels;
	*bytes = bits >= 8 ? *columns * (bits / 8) : (*columns * bits + 7) / 8;
}

STAGE struct decoded decode_png(uint8_t *bytes, size_t len, struct pixels *image)
{
	struct png p;
	memset(&p, 0, sizeof(p));
	struct decoded chunks = read_chunks(&p, bytes + sizeof(png_signature), bytes + len);
	if (chunks.outcome != DECODED)
		return chunks;

	const struct pass *passes = p.interlaced ? adam7 : whole;
	size_t npasses = p.interlaced ? sizeof(adam7) / sizeof(*adam7) : 1;
	size_t columns, rows, row_len, size = 0;
	for (size_t i = 0; i < npasses; i++) {
		extent(&p, &passes[i], &columns, &rows, &row_len);
		size += rows * (row_len + 1);
	}
	/* Two bits can stand for 258 bytes and no more; before any memory is taken. */
	if (size / 1032 > p.data_len)
		return damaged(TRUNCATED);
	uint8_t *data = pappus_array(size, 1), *row = data;
	const char *wrong = inflate(p.data, p.data_len, data, size);
	if (wrong != NULL)
		return damaged(wrong);

	*image = pixels_new(p.width, p.height);
	size_t step = (p.depth * p.channels + 7) / 8;
	for (size_t i = 0; i < npasses; i++) {
		const struct pass *s = &passes[i];
		extent(&p, s, &columns, &rows, &row_len);
		const uint8_t *above = NULL;
		for (size_t y = 0; y < rows; y++, row += row_len) {
			unsigned filter = *row++;
			if (!unfilter(filter, row, above, row_len, step))
				return damaged("a row has a filter of no known kind");
			above = row;
			uint8_t *to = image->rgba + 4 * ((size_t)p.width * (s->y + y * s->dy) + s->x);
			if (!expand(&p, row, columns, to, (size_t)4 * s->dx))
				return damaged("a pixel's colour is not in the palette");
		}
	}
	pappus_free(data);
	return DECODED_WELL;
}

#endif
