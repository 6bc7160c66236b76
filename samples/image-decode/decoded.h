/* How a decoder ends. */
#ifndef DECODED_H
#define DECODED_H

#include <stdint.h>

#include "../stdio/stage.h"

/* The exit codes of image-decode, but for 0. */
enum outcome { DECODED = 0, UNKNOWN_FORMAT = 1, DAMAGED = 2, TOO_LARGE = 3 };

/* What came of an image, and why if it failed. */
struct decoded {
	enum outcome outcome;
	const char *why;
};

/* Both formats have their numbers with the highest byte first. */
static inline uint32_t get_big_u32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static inline struct decoded damaged(const char *why) { return (struct decoded){DAMAGED, why}; }

#define DECODED_WELL ((struct decoded){DECODED, ""})
#define DECODED_TOO_LARGE ((struct decoded){TOO_LARGE, "the image has more than 16,000,000 pixels"})

#endif
