/* wordmerge: adds up counts of words.
 *
 * The items of counts are what wordcount gives: lines "word count", a word being
 * any bytes but spaces and line ends. The counts of equal words are added; the
 * answer is one item in the same form and order. So the counts of the parts of a
 * text, merged, are those of the text.
 *
 * Exit code 1: a line is not of that form, or a count needs more than 64 bits. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "wordmerge",
	"description": "Adds up counts of words, as wordcount gives them.",
	"inputs": ["counts"],
	"outputs": [{"name": "counts", "type": "item", "content_type": "text/plain; charset=utf-8"}],
	"layout": "grow"
});

enum { MALFORMED = 1, MOST_DIGITS = 20 };

struct word {
	const unsigned char *bytes; /* in the input */
	size_t len;
	uint64_t count;
};

/* Reads one line; returns what follows it, or NULL. */
static const unsigned char *read_line(const unsigned char *at, const unsigned char *end, struct word *w)
{
	*w = (struct word){at, 0, 0};
	while (at < end && *at != ' ' && *at != '\n')
		at++;
	w->len = (size_t)(at - w->bytes);
	if (w->len == 0 || end - at < 3 || *at++ != ' ')
		return NULL;
	do {
		uint64_t digit = (uint64_t)*at - '0';
		if (digit > 9 || w->count > (UINT64_MAX - digit) / 10)
			return NULL;
		w->count = w->count * 10 + digit;
	} while (++at < end && *at != '\n');
	return at == end ? NULL : at + 1;
}

static int by_word(const struct word *a, const struct word *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->bytes, b->bytes, len);
	return order != 0 ? order > 0 : a->len > b->len;
}

static int by_count(const struct word *a, const struct word *b)
{
	return a->count != b->count ? a->count < b->count : by_word(a, b);
}

typedef int behind_fn(const struct word *a, const struct word *b); /* whether a stands behind b */

static void sift_down(struct word *heap, size_t at, size_t n, behind_fn *behind)
{
	struct word w = heap[at];
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && behind(&heap[child + 1], &heap[child]))
			child++;
		if (!behind(&heap[child], &w))
			break;
		heap[at] = heap[child];
	}
	heap[at] = w;
}

/* Heapsort: in place, and n log n whatever the words are. */
static void sort(struct word *words, size_t n, behind_fn *behind)
{
	for (size_t i = n / 2; i-- != 0;)
		sift_down(words, i, n, behind);
	for (size_t i = n; i-- > 1;) {
		struct word last = words[i];
		words[i] = words[0];
		words[0] = last;
		sift_down(words, 0, i, behind);
	}
}

static char *write_line(char *at, const struct word *w)
{
	memcpy(at, w->bytes, w->len);
	at += w->len;
	*at++ = ' ';
	char digits[MOST_DIGITS];
	size_t n = 0;
	uint64_t count = w->count;
	do
		digits[n++] = (char)('0' + count % 10);
	while ((count /= 10) != 0);
	while (n != 0)
		*at++ = digits[--n];
	*at++ = '\n';
	return at;
}

static int run(void)
{
	size_t lines = 0, n = 0, room = 0;
	for (size_t i = 0; i < pappus_count(0); i++)
		for (size_t k = 0; k < pappus_item(0, i)->data_len; k++)
			lines += ((const unsigned char *)pappus_item(0, i)->data)[k] == '\n';
	struct word *words = pappus_array(lines, sizeof(*words));
	for (size_t i = 0; i < pappus_count(0); i++) {
		const unsigned char *at = pappus_item(0, i)->data, *end = at + pappus_item(0, i)->data_len;
		while (at < end) {
			struct word w;
			if ((at = read_line(at, end, &w)) == NULL)
				return MALFORMED;
			words[n++] = w; /* a line that could be read ends with one of those counted */
		}
	}
	sort(words, n, by_word);
	lines = 0;
	for (size_t i = 0; i < n; i++) {
		if (lines != 0 && !by_word(&words[i], &words[lines - 1])) {
			struct word *same = &words[lines - 1];
			if (words[i].count > UINT64_MAX - same->count)
				return MALFORMED;
			same->count += words[i].count;
			continue;
		}
		room += words[i].len + MOST_DIGITS + 2;
		words[lines++] = words[i];
	}
	sort(words, lines, by_count);
	char *text = pappus_array(room, 1), *end = text;
	for (size_t i = 0; i < lines; i++)
		end = write_line(end, &words[i]);
	pappus_output(0, "counts", text, (size_t)(end - text));
	return 0;
}

PAPPUS_FUNCTION(run)
