/* wordcount: counts the words of texts.
 *
 * All items of text are counted together. A word is a run of letters and
 * digits; A to Z count as a to z. Beyond ASCII every character is a letter
 * except Latin-1's signs, the general punctuation (U+2000 to U+206F: dashes,
 * quotes, spaces), CJK punctuation (U+3000 to U+303F) and the byte order mark.
 * What is not UTF-8 separates words, so the answer is always UTF-8: one item
 * `counts` of lines "word count", the most frequent first, words of equal
 * count in the order of their bytes. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "wordcount",
	"description": "Counts the words of texts: lines of word and count, the most frequent first.",
	"inputs": ["text"],
	"outputs": [{"name": "counts", "type": "item", "content_type": "text/plain; charset=utf-8"}],
	"layout": "grow"
});

struct word {
	const unsigned char *bytes; /* in the input */
	size_t len;
	uint32_t hash;
	uint32_t count;
};

/* A hash table with open addressing, never more than three quarters full. */
static struct {
	struct word *slots; /* a slot without bytes is empty */
	size_t size;        /* a power of two */
	size_t used;
} table;

static struct word *slot_of(struct word *slots, size_t size, const struct word *w)
{
	for (size_t i = w->hash;; i++) {
		struct word *s = &slots[i & (size - 1)];
		if (s->bytes == NULL || (s->hash == w->hash && s->len == w->len && memcmp(s->bytes, w->bytes, w->len) == 0))
			return s;
	}
}

static struct word *empty_slots(size_t size)
{
	struct word *slots = pappus_array(size, sizeof(*slots));
	memset(slots, 0, size * sizeof(*slots));
	return slots;
}

static void double_table(void)
{
	size_t size = table.size == 0 ? 1024 : table.size * 2;
	struct word *slots = empty_slots(size);
	for (size_t i = 0; i < table.size; i++)
		if (table.slots[i].bytes != NULL)
			*slot_of(slots, size, &table.slots[i]) = table.slots[i];
	pappus_free(table.slots);
	table.slots = slots;
	table.size = size;
}

static void add(const struct word *w)
{
	if (table.used >= table.size / 4 * 3)
		double_table();
	struct word *s = slot_of(table.slots, table.size, w);
	if (s->bytes == NULL) {
		*s = *w;
		table.used++;
	}
	s->count++;
}

/* The length of the UTF-8 character at s, with its number in *c; 0 where there
 * is none: cut short, longer than need be, a surrogate, or above U+10FFFF. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF8 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	*c = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3F);
	}
	if (*c < least[n] || (*c >= 0xD800 && *c < 0xE000) || *c > 0x10FFFF)
		return 0;
	return n;
}

static int is_letter(uint32_t c)
{
	if (c < 0x80)
		return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
	if (c < 0xC0)
		return c == 0xAA || c == 0xB5 || c == 0xBA;
	return c != 0xD7 && c != 0xF7 && (c < 0x2000 || c > 0x206F) && (c < 0x3000 || c > 0x303F) && c != 0xFEFF;
}

/* Counts the words of one text, folding their letters in place. */
static void count_words(unsigned char *text, size_t len)
{
	const uint32_t hash_start = 2166136261u, hash_factor = 16777619u; /* FNV-1a */
	struct word w = {NULL, 0, hash_start, 0};
	for (size_t at = 0; at < len;) {
		uint32_t c = 0;
		size_t n = decode(text + at, len - at, &c);
		if (n == 0 || !is_letter(c)) {
			if (w.bytes != NULL)
				add(&w);
			w = (struct word){NULL, 0, hash_start, 0};
			at += n == 0 ? 1 : n;
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			text[at] |= 0x20;
		if (w.bytes == NULL)
			w.bytes = text + at;
		w.len += n;
		for (; n != 0; n--)
			w.hash = (w.hash ^ text[at++]) * hash_factor;
	}
	if (w.bytes != NULL)
		add(&w);
}

/* Whether a stands behind b in the answer. */
static int behind(const struct word *a, const struct word *b)
{
	if (a->count != b->count)
		return a->count < b->count;
	size_t len = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->bytes, b->bytes, len);
	return order != 0 ? order > 0 : a->len > b->len;
}

static void sift_down(struct word *heap, size_t at, size_t n)
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
static void sort(struct word *words, size_t n)
{
	for (size_t i = n / 2; i-- != 0;)
		sift_down(words, i, n);
	for (size_t i = n; i-- > 1;) {
		struct word last = words[i];
		words[i] = words[0];
		words[0] = last;
		sift_down(words, 0, i);
	}
}

enum { MOST_DIGITS = 10 }; /* of a 32-bit count */

static char *write_line(char *at, const struct word *w)
{
	memcpy(at, w->bytes, w->len);
	at += w->len;
	*at++ = ' ';
	char digits[MOST_DIGITS];
	size_t n = 0;
	uint32_t count = w->count;
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
	for (size_t i = 0; i < pappus_count(0); i++)
		count_words(pappus_item(0, i)->data, pappus_item(0, i)->data_len);

	size_t n = 0, room = 0;
	for (size_t i = 0; i < table.size; i++)
		if (table.slots[i].bytes != NULL) {
			room += table.slots[i].len + MOST_DIGITS + 2;
			table.slots[n++] = table.slots[i];
		}
	sort(table.slots, n);
	char *text = pappus_array(room, 1), *end = text;
	for (size_t i = 0; i < n; i++)
		end = write_line(end, &table.slots[i]);
	pappus_output(0, "counts", text, (size_t)(end - text));
	return 0;
}

PAPPUS_FUNCTION(run)
