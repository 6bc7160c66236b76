/* callread: reads the answers of system_Invoke.
 *
 * Of an answer with outputs, every item is an item of contents; of one that says
 * how the call failed, the kind of the fault is an item of faults. Both have the
 * name and the key of the answer. docs/compositions.md has the form.
 *
 * Exit code 1: an item is no such answer. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "callread",
	"description": "Reads the answers of system_Invoke: the contents of the outputs, and how calls failed.",
	"inputs": ["answers"],
	"outputs": ["contents", "faults"],
	"layout": "grow"
});

enum { NO_ANSWER = 1 };

/* What is left to read. */
struct reader {
	const char *at, *end;
};

static int starts(struct reader *r, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return 0;
	r->at += len;
	return 1;
}

/* Goes behind the next character of that kind, and returns how much was before
 * it; -1 if there is none. */
static long skip(struct reader *r, char wanted)
{
	const char *from = r->at;
	while (r->at < r->end)
		if (*r->at++ == wanted)
			return r->at - from - 1;
	return -1;
}

/* Reads a number and the character behind it. */
static int number(struct reader *r, char behind, size_t *value)
{
	*value = 0;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		size_t digit = (size_t)(*r->at - '0');
		if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, digit, value))
			return 0;
	}
	return r->at < r->end && *r->at++ == behind;
}

/* Reads KEY LENGTH SET/ITEM, and the item with the line feed behind it. */
static int read_item(struct reader *r, IoBuffer *item)
{
	size_t key, len;
	if (!number(r, ' ', &key) || !number(r, ' ', &len) || skip(r, '\n') < 0 || (size_t)(r->end - r->at) <= len || r->at[len] != '\n')
		return 0;
	item->data = (void *)r->at;
	item->data_len = len;
	r->at += len + 1;
	return 1;
}

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		struct reader r = {item.data, (const char *)item.data + item.data_len};
		if (starts(&r, "FAULT ")) {
			item.data = (void *)r.at;
			long len = skip(&r, ' ');
			if (len < 0)
				return NO_ANSWER;
			item.data_len = (size_t)len;
			pappus_put(1, item);
			continue;
		}
		if (!starts(&r, "OK ") || skip(&r, '\n') < 0)
			return NO_ANSWER;
		while (r.at < r.end) {
			if (!read_item(&r, &item))
				return NO_ANSWER;
			pappus_put(0, item);
		}
	}
	return 0;
}

PAPPUS_FUNCTION(run)
