/* image-encode: writes images as QOI files.
 *
 * Each item of pixels (../image/pixels.h) gives an item of the same name and
 * key: a QOI file, with alpha if some pixel is transparent.
 *
 * Exit code 1, with the reason on standard error: the item is no image. */
#include <pappus.h>

#include "../image/pixels.h"

PAPPUS_MANIFEST({
	"name": "image-encode",
	"description": "Encodes pixels as QOI images.",
	"inputs": ["pixels"],
	"outputs": [{"name": "images", "type": "set", "content_type": "image/qoi"}, "stdio"],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { IMAGES, STDIO };
enum { NO_IMAGE = 1, HEADER = 14, END = 8, LONGEST_RUN = 62 };

static void put_big_u32(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)(v >> 24);
	to[1] = (uint8_t)(v >> 16);
	to[2] = (uint8_t)(v >> 8);
	to[3] = (uint8_t)v;
}

static int is_opaque(const struct pixels *p, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (p->rgba[4 * i + 3] != 255)
			return 0;
	return 1;
}

/* Writes what changes the colour from before to c; returns what follows. */
static uint8_t *put_colour(uint8_t *to, const uint8_t *before, const uint8_t *c)
{
	if (c[3] != before[3]) {
		*to = 0xFF;
		memcpy(to + 1, c, 4);
		return to + 5;
	}
	int r = (int8_t)(c[0] - before[0]), g = (int8_t)(c[1] - before[1]), b = (int8_t)(c[2] - before[2]);
	int rg = r - g, bg = b - g;
	if (r >= -2 && r <= 1 && g >= -2 && g <= 1 && b >= -2 && b <= 1) {
		*to = (uint8_t)(0x40 | (r + 2) << 4 | (g + 2) << 2 | (b + 2));
		return to + 1;
	}
	if (g >= -32 && g <= 31 && rg >= -8 && rg <= 7 && bg >= -8 && bg <= 7) {
		to[0] = (uint8_t)(0x80 | (g + 32));
		to[1] = (uint8_t)((rg + 8) << 4 | (bg + 8));
		return to + 2;
	}
	*to = 0xFE;
	memcpy(to + 1, c, 3);
	return to + 4;
}

/* Writes the image; returns how many bytes that are. There is room for the
 * worst case: a byte more for each pixel than its channels. */
static size_t encode(const struct pixels *p, size_t count, int channels, uint8_t *file)
{
	static const uint8_t end_marker[END] = {0, 0, 0, 0, 0, 0, 0, 1};
	memcpy(file, "qoif", 4);
	put_big_u32(file + 4, p->width);
	put_big_u32(file + 8, p->height);
	file[12] = (uint8_t)channels;
	file[13] = 0; /* sRGB */
	uint8_t *to = file + HEADER;
	uint8_t seen[64][4] = {{0}}, black[4] = {0, 0, 0, 255};
	const uint8_t *before = black, *c = p->rgba;
	unsigned run = 0;
	for (size_t left = count; left != 0; left--, before = c, c += 4) {
		if (memcmp(c, before, 4) == 0) {
			if (++run == LONGEST_RUN || left == 1) {
				*to++ = (uint8_t)(0xC0 | (run - 1));
				run = 0;
			}
			continue;
		}
		if (run != 0) {
			*to++ = (uint8_t)(0xC0 | (run - 1));
			run = 0;
		}
		unsigned place = (c[0] * 3u + c[1] * 5u + c[2] * 7u + c[3] * 11u) % 64;
		if (memcmp(c, seen[place], 4) == 0) {
			*to++ = (uint8_t)place;
			continue;
		}
		memcpy(seen[place], c, 4);
		to = put_colour(to, before, c);
	}
	memcpy(to, end_marker, END);
	return (size_t)(to - file) + END;
}

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		struct pixels p;
		if (!pixels_read(&item, &p))
			return complain(STDIO, "image-encode", &item, "this is no image", NO_IMAGE);
		size_t count = (size_t)p.width * p.height;
		int channels = is_opaque(&p, count) ? 3 : 4;
		uint8_t *file = pappus_array(HEADER + count * ((size_t)channels + 1) + END, 1);
		item.data_len = encode(&p, count, channels, file);
		item.data = file;
		pappus_put(IMAGES, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
