/* image-sheet: puts images together on one, a contact sheet.
 *
 * The items of pixels (../image/pixels.h) stand in their order, row by row, in as
 * many columns as make a square or one with fewer rows; each in the middle of a
 * cell as large as the largest of them, four transparent pixels around it. The
 * answer is one item `sheet`, or none if there are no images.
 *
 * Exit codes, with the reason on standard error: 1, an item is no image; 2, the
 * sheet would have more than 16,000,000 pixels. */
#include <pappus.h>

#include "../image/pixels.h"

PAPPUS_MANIFEST({
	"name": "image-sheet",
	"description": "Puts images together on a contact sheet.",
	"inputs": ["pixels"],
	"outputs": ["sheet", "stdio"],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { SHEET, STDIO };
enum { NO_IMAGE = 1, TOO_LARGE = 2, GAP = 4 };

/* The length of n cells with gaps around each. */
static uint64_t length(uint64_t n, uint32_t cell) { return n * ((uint64_t)cell + GAP) + GAP; }

static int run(void)
{
	static const char function[] = "image-sheet";
	size_t count = pappus_count(0);
	if (count == 0)
		return 0;
	struct pixels *images = pappus_array(count, sizeof(*images));
	uint32_t cell_width = 0, cell_height = 0;
	for (size_t i = 0; i < count; i++) {
		if (!pixels_read(pappus_item(0, i), &images[i]))
			return complain(STDIO, function, pappus_item(0, i), "this is no image", NO_IMAGE);
		if (images[i].width > cell_width)
			cell_width = images[i].width;
		if (images[i].height > cell_height)
			cell_height = images[i].height;
	}
	size_t columns = 1;
	while ((uint64_t)columns * columns < count)
		columns++;
	size_t rows = (count + columns - 1) / columns;
	uint64_t width = length(columns, cell_width), height = length(rows, cell_height);
	if (!pixels_fit(width, height))
		return complain(STDIO, function, &(IoBuffer){0}, "the sheet has more than 16,000,000 pixels; make the images smaller, or fewer", TOO_LARGE);

	struct pixels sheet = pixels_new((uint32_t)width, (uint32_t)height);
	memset(sheet.rgba, 0, (size_t)4 * sheet.width * sheet.height);
	for (size_t i = 0; i < count; i++) {
		const struct pixels *p = &images[i];
		size_t x = i % columns * (cell_width + GAP) + GAP + (cell_width - p->width) / 2;
		size_t y = i / columns * (cell_height + GAP) + GAP + (cell_height - p->height) / 2;
		for (size_t row = 0; row < p->height; row++)
			memcpy(sheet.rgba + 4 * ((y + row) * sheet.width + x), p->rgba + (size_t)4 * p->width * row, (size_t)4 * p->width);
	}
	pixels_put(SHEET, sheet, (IoBuffer){"sheet", strlen("sheet"), NULL, 0, 0});
	return 0;
}

PAPPUS_FUNCTION(run)
