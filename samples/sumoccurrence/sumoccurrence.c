/* sumoccurrence: counts how often a pattern occurs in log files.
 *
 * logs holds any number of items, pattern one: plain bytes, no wildcards; a
 * line end at its end is not part of it, so that a file made by an editor
 * works. Occurrences do not overlap ("aa" is once in "aaa") and do not reach
 * from one item into the next. The answer is one decimal number with a line
 * end.
 *
 * Exit code 1: the pattern is missing or empty. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "sumoccurrence",
	"description": "Counts the occurrences of a pattern in log files.",
	"inputs": ["logs", {"name": "pattern", "type": "item"}],
	"outputs": [{"name": "counts", "type": "item", "content_type": "text/plain; charset=utf-8"}],
	"layout": "grow"
});

enum { LOGS, PATTERN };
enum { NO_PATTERN = 1 };

struct pattern {
	const unsigned char *bytes;
	size_t len;
	size_t shift[256]; /* how far the window moves, by the last byte in it */
};

static void prepare(struct pattern *p, const IoBuffer *item)
{
	p->bytes = item->data;
	p->len = item->data_len;
	if (p->len != 0 && p->bytes[p->len - 1] == '\n') {
		p->len--;
		if (p->len != 0 && p->bytes[p->len - 1] == '\r')
			p->len--;
	}
	for (size_t c = 0; c < 256; c++)
		p->shift[c] = p->len;
	for (size_t i = 0; i + 1 < p->len; i++)
		p->shift[p->bytes[i]] = p->len - 1 - i;
}

/* Horspool's search: most positions are skipped without being looked at. */
static uint64_t count(const struct pattern *p, const unsigned char *text, size_t len)
{
	uint64_t found = 0;
	size_t last = p->len - 1;
	for (size_t at = 0; len - at >= p->len;) {
		unsigned char c = text[at + last];
		if (c == p->bytes[last] && memcmp(text + at, p->bytes, last) == 0) {
			found++;
			at += p->len;
		} else {
			at += p->shift[c];
			if (at > len)
				break;
		}
	}
	return found;
}

static int run(void)
{
	static struct pattern p;
	const IoBuffer *item = pappus_item(PATTERN, 0);
	if (item != NULL)
		prepare(&p, item);
	if (p.len == 0)
		return NO_PATTERN;
	uint64_t sum = 0;
	for (size_t i = 0; i < pappus_count(LOGS); i++)
		sum += count(&p, pappus_item(LOGS, i)->data, pappus_item(LOGS, i)->data_len);

	static char text[21]; /* 2^64 - 1 has 20 digits */
	char *at = text + sizeof(text);
	*--at = '\n';
	do
		*--at = (char)('0' + sum % 10);
	while ((sum /= 10) != 0);
	pappus_output(0, "counts", at, (size_t)(text + sizeof(text) - at));
	return 0;
}

PAPPUS_FUNCTION(run)
