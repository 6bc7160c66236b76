/* image-thumbnail: scales images down.
 *
 * The item of size says the box into which they must fit: "128x96", or "128" for
 * a square one, each side from 1 to 4096, blanks and line ends allowed around it.
 * Each item of pixels (../image/pixels.h) gives one of the same name and key, as
 * large as fits into the box with the aspect ratio kept, rounded to whole pixels.
 * An image that fits already stays as it is.
 *
 * A pixel is the average of the area that it covers, to the fraction of a source
 * pixel, each weighted with its alpha so that the colour of what is transparent
 * does not show. All sums are exact, and each result is rounded once.
 *
 * Exit codes, with the reason on standard error: 1, the item is no image; 2, the
 * size is none. */
#include <pappus.h>

#include "../image/pixels.h"

PAPPUS_MANIFEST({
	"name": "image-thumbnail",
	"description": "Scales images down to fit into a box.",
	"inputs": ["pixels", {"name": "size", "type": "item"}],
	"outputs": ["pixels", "stdio"],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { PIXELS, SIZE };
enum { SMALL, STDIO };
enum { NO_IMAGE = 1, NO_SIZE = 2, LONGEST_SIDE = 4096 };

struct box {
	uint32_t width, height;
};

static int is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Reads a side; returns what follows it, or NULL. */
static const uint8_t *read_side(const uint8_t *at, const uint8_t *end, uint32_t *side)
{
	uint32_t n = 0;
	const uint8_t *begin = at;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		n = n * 10 + (uint32_t)(*at - '0');
		if (n > LONGEST_SIDE)
			return NULL;
	}
	*side = n;
	return at == begin || n == 0 ? NULL : at;
}

static int read_box(const uint8_t *at, size_t len, struct box *b)
{
	const uint8_t *end = at + len;
	while (at < end && is_blank(end[-1]))
		end--;
	while (at < end && is_blank(*at))
		at++;
	at = read_side(at, end, &b->width);
	b->height = b->width;
	if (at != NULL && at < end && *at == 'x')
		at = read_side(at + 1, end, &b->height);
	return at == end;
}

/* side * to / from, rounded, at least 1. */
static uint32_t scaled(uint32_t side, uint32_t to, uint32_t from)
{
	uint64_t n = ((uint64_t)side * to * 2 + from) / ((uint64_t)from * 2);
	return n == 0 ? 1 : (uint32_t)n;
}

/* The size of the image in the box. */
static struct box fit(const struct pixels *p, struct box b)
{
	if (p->width <= b.width && p->height <= b.height)
		return (struct box){p->width, p->height};
	if ((uint64_t)p->width * b.height >= (uint64_t)p->height * b.width)
		return (struct box){b.width, scaled(p->height, b.width, p->width)};
	return (struct box){scaled(p->width, b.height, p->height), b.height};
}

/* Sums of a row or an area: the colours weighted with alpha, and alpha. The
 * weights of both directions add up to the width and height of the source, so
 * over an area the sum is at most 255 * 255 * 16,000,000, below 2^40. */
struct sum {
	uint64_t r, g, b, a;
};

static void add(struct sum *s, const struct sum *v, uint64_t weight)
{
	s->r += v->r * weight;
	s->g += v->g * weight;
	s->b += v->b * weight;
	s->a += v->a * weight;
}

static struct sum weighted(const uint8_t *rgba)
{
	uint64_t a = rgba[3];
	return (struct sum){rgba[0] * a, rgba[1] * a, rgba[2] * a, a};
}

/* Sums up a row of the source: each of the columns of the thumbnail covers
 * width units of it, and each source pixel has columns units. */
static void sum_row(const uint8_t *rgba, uint32_t width, uint32_t columns, struct sum *sums)
{
	uint32_t left = 0; /* units of the current source pixel that belong to the next column */
	for (uint32_t x = 0; x < columns; x++) {
		struct sum s = {0, 0, 0, 0}, whole = {0, 0, 0, 0};
		uint32_t need = width;
		if (left != 0) {
			struct sum v = weighted(rgba);
			add(&s, &v, left);
			need -= left;
			rgba += 4;
		}
		for (; need >= columns; need -= columns, rgba += 4) {
			struct sum v = weighted(rgba);
			add(&whole, &v, 1);
		}
		add(&s, &whole, columns);
		left = 0;
		if (need != 0) {
			struct sum v = weighted(rgba);
			add(&s, &v, need);
			left = columns - need;
		}
		sums[x] = s;
	}
}

static uint8_t divided(uint64_t sum, uint64_t by) { return (uint8_t)((sum + by / 2) / by); }

/* Writes a row of the thumbnail and clears its sums; area is what the weights
 * of a pixel add up to. */
static void write_row(struct sum *sums, uint32_t columns, uint64_t area, uint8_t *to)
{
	for (uint32_t x = 0; x < columns; x++, to += 4) {
		const struct sum *s = &sums[x];
		if (s->a == 0)
			memset(to, 0, 4);
		else
			to[0] = divided(s->r, s->a), to[1] = divided(s->g, s->a), to[2] = divided(s->b, s->a), to[3] = divided(s->a, area);
	}
	memset(sums, 0, columns * sizeof(*sums));
}

static struct pixels scale_down(const struct pixels *p, struct box b)
{
	struct pixels small = pixels_new(b.width, b.height);
	struct sum *row = pappus_array(b.width, sizeof(*row)), *sums = pappus_array(b.width, sizeof(*sums));
	memset(sums, 0, b.width * sizeof(*sums));
	uint64_t area = (uint64_t)p->width * p->height;
	uint32_t y = 0, need = p->height; /* units that the current row of the thumbnail still needs */
	for (uint32_t from = 0; from < p->height; from++) {
		sum_row(p->rgba + (size_t)4 * p->width * from, p->width, b.width, row);
		uint32_t units = b.height; /* of this row of the source */
		while (units != 0) {
			uint32_t n = units < need ? units : need;
			for (uint32_t x = 0; x < b.width; x++)
				add(&sums[x], &row[x], n);
			units -= n;
			need -= n;
			if (need == 0) {
				write_row(sums, b.width, area, small.rgba + (size_t)4 * b.width * y);
				y++;
				need = p->height;
			}
		}
	}
	pappus_free(sums);
	pappus_free(row);
	return small;
}

static int run(void)
{
	static const char name[] = "image-thumbnail";
	struct box most;
	const IoBuffer *size = pappus_item(SIZE, 0);
	if (size == NULL || !read_box(size->data, size->data_len, &most))
		return complain(STDIO, name, &(IoBuffer){0}, "the size is not like 128 or 128x96, each side from 1 to 4096", NO_SIZE);
	for (size_t i = 0; i < pappus_count(PIXELS); i++) {
		IoBuffer item = *pappus_item(PIXELS, i);
		struct pixels p;
		if (!pixels_read(&item, &p))
			return complain(STDIO, name, &item, "this is no image", NO_IMAGE);
		struct box b = fit(&p, most);
		if (b.width != p.width || b.height != p.height)
			p = scale_down(&p, b);
		pixels_put(SMALL, p, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
