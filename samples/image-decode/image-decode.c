/* image-decode: decodes images.
 *
 * Each item of images is a PNG or QOI file, which the function tells by how it
 * begins, whatever its name. It gives an item of pixels (../image/pixels.h) of
 * the same name and key. Every PNG is decoded, of each colour type and depth,
 * transparent and interlaced ones too; gamma and profiles are passed over. Of an
 * animated one it is the image that programs show which know no animation.
 *
 * Exit codes, with the item and the reason on standard error: 1, the item is
 * neither a PNG nor a QOI file; 2, it is damaged; 3, it has more than 16,000,000
 * pixels. */
#include <pappus.h>

#include "decoded.h"
#include "png.h"
#include "qoi.h"

PAPPUS_MANIFEST({
	"name": "image-decode",
	"description": "Decodes PNG and QOI images to pixels.",
	"inputs": ["images"],
	"outputs": ["pixels", "stdio"],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { PIXELS, STDIO };

static struct decoded decode(const IoBuffer *item, struct pixels *image)
{
	uint8_t *bytes = item->data;
	if (is_png(bytes, item->data_len))
		return decode_png(bytes, item->data_len, image);
	if (is_qoi(bytes, item->data_len))
		return decode_qoi(bytes, item->data_len, image);
	return (struct decoded){UNKNOWN_FORMAT, "this is neither a PNG nor a QOI image"};
}

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		struct pixels image;
		struct decoded d = decode(&item, &image);
		if (d.outcome != DECODED)
			return complain(STDIO, "image-decode", &item, d.why, d.outcome);
		pixels_put(PIXELS, image, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
