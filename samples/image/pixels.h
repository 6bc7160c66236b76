/* An image as the functions for images pass it on.
 *
 * An item of pixels is two 32-bit little-endian numbers, width and height, then
 * the pixels row by row from the top left: a byte each of red, green, blue and
 * alpha, the colours not multiplied by it. */
#ifndef PIXELS_H
#define PIXELS_H

#include <pappus.h>

#include "../stdio/complain.h"

/* With these an image fits into an output of 64 MiB, header included. */
enum { PIXELS_HEADER = 8, MOST_PIXELS = 16000000 };

struct pixels {
	uint32_t width, height;
	uint8_t *rgba; /* 4 * width * height bytes, behind the header */
};

/* Whether an image may have these sides. Both are bounded first: then the
 * product fits. */
static inline int pixels_fit(uint64_t width, uint64_t height)
{
	return width != 0 && height != 0 && width <= MOST_PIXELS && height <= MOST_PIXELS && width * height <= MOST_PIXELS;
}

static inline void put_u32(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)v;
	to[1] = (uint8_t)(v >> 8);
	to[2] = (uint8_t)(v >> 16);
	to[3] = (uint8_t)(v >> 24);
}

static inline uint32_t get_u32(const uint8_t *from)
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* An image whose sides fit; its pixels are not set. */
static inline struct pixels pixels_new(uint32_t width, uint32_t height)
{
	uint8_t *bytes = pappus_array(PIXELS_HEADER + (size_t)4 * width * height, 1);
	put_u32(bytes, width);
	put_u32(bytes + 4, height);
	return (struct pixels){width, height, bytes + PIXELS_HEADER};
}

/* Reads an item; returns 0 if it is no image. */
static inline int pixels_read(const IoBuffer *item, struct pixels *p)
{
	if (item->data_len < PIXELS_HEADER)
		return 0;
	uint8_t *bytes = item->data;
	*p = (struct pixels){get_u32(bytes), get_u32(bytes + 4), bytes + PIXELS_HEADER};
	return pixels_fit(p->width, p->height) && item->data_len - PIXELS_HEADER == (size_t)4 * p->width * p->height;
}

/* The image as an output item that has the name and key of another item. */
static inline void pixels_put(size_t set, struct pixels p, IoBuffer item)
{
	item.data = p.rgba - PIXELS_HEADER;
	item.data_len = PIXELS_HEADER + (size_t)4 * p.width * p.height;
	pappus_put(set, item);
}

#endif
