/* Decodes the Quite OK Image format. */
#ifndef QOI_H
#define QOI_H

#include "../image/pixels.h"
#include "decoded.h"

enum { QOI_HEADER = 14, QOI_END = 8, QOI_LONGEST_RUN = 62 };

static inline int is_qoi(const uint8_t *bytes, size_t len) { return len >= 4 && memcmp(bytes, "qoif", 4) == 0; }

STAGE struct decoded decode_qoi(const uint8_t *bytes, size_t len, struct pixels *image)
{
	static const uint8_t end_marker[QOI_END] = {0, 0, 0, 0, 0, 0, 0, 1};
	if (len < QOI_HEADER + QOI_END)
		return damaged("the file is cut short");
	uint32_t width = get_big_u32(bytes + 4), height = get_big_u32(bytes + 8);
	uint8_t channels = bytes[12];
	if (width == 0 || height == 0)
		return damaged("the image has no pixels");
	if ((channels != 3 && channels != 4) || bytes[13] > 1)
		return damaged("the header is wrong");
	if (!pixels_fit(width, height))
		return DECODED_TOO_LARGE;
	const uint8_t *at = bytes + QOI_HEADER, *end = bytes + len - QOI_END;
	size_t count = (size_t)width * height;
	if (count / QOI_LONGEST_RUN > (size_t)(end - at)) /* before any memory is taken */
		return damaged("the file is cut short");
	*image = pixels_new(width, height);

	struct colour {
		uint8_t r, g, b, a;
	} seen[64] = {{0, 0, 0, 0}}, c = {0, 0, 0, 255};
	uint8_t *to = image->rgba;
	for (size_t run = 0, left = count; left != 0; left--) {
		if (run != 0) {
			run--;
		} else {
			if (at >= end)
				return damaged("the file is cut short");
			uint8_t op = *at++;
			size_t more = op == 0xFE ? 3 : op == 0xFF ? 4 : op >> 6 == 2 ? 1 : 0;
			if ((size_t)(end - at) < more)
				return damaged("the file is cut short");
			if (more >= 3) {
				c.r = at[0], c.g = at[1], c.b = at[2];
				if (more == 4)
					c.a = at[3];
			} else if (op >> 6 == 0) {
				c = seen[op];
			} else if (op >> 6 == 1) {
				c.r = (uint8_t)(c.r + (op >> 4 & 3) - 2);
				c.g = (uint8_t)(c.g + (op >> 2 & 3) - 2);
				c.b = (uint8_t)(c.b + (op & 3) - 2);
			} else if (op >> 6 == 2) {
				int green = (op & 63) - 32;
				c.r = (uint8_t)(c.r + green - 8 + (at[0] >> 4));
				c.g = (uint8_t)(c.g + green);
				c.b = (uint8_t)(c.b + green - 8 + (at[0] & 15));
			} else {
				run = op & 63;
				if (run >= left)
					return damaged("a run is longer than the image");
			}
			at += more;
			seen[(c.r * 3 + c.g * 5 + c.b * 7 + c.a * 11) % 64] = c;
		}
		to[0] = c.r, to[1] = c.g, to[2] = c.b, to[3] = channels == 4 ? c.a : 255;
		to += 4;
	}
	if (memcmp(at, end_marker, QOI_END) != 0)
		return damaged("the image does not end where its pixels end");
	return DECODED_WELL;
}

#endif
