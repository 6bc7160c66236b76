/* callmake: makes requests for system_Invoke, which calls functions by names that
 * are only known at run time.
 *
 * The first line of each item of jobs is the name of a function or composition and
 * that of one of its input sets, with a space between them; the rest is the content
 * of one item for that set. The answer is a request for each, with the name and the
 * key of its job: docs/compositions.md has the form.
 *
 * Exit code 1: an item has no such line. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "callmake",
	"description": "Makes requests for system_Invoke: of NAME SET and a text.",
	"inputs": ["jobs"],
	"outputs": ["requests"],
	"layout": "grow"
});

enum { NO_NAMES = 1, NUMBER_ROOM = 20 };

static size_t find(const char *text, size_t len, char wanted)
{
	size_t at = 0;
	while (at < len && text[at] != wanted)
		at++;
	return at;
}

static char *append(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

static char *append_number(char *to, size_t number)
{
	char digits[NUMBER_ROOM];
	size_t at = NUMBER_ROOM;
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return append(to, digits + at, NUMBER_ROOM - at);
}

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		const char *job = item.data;
		size_t line = find(job, item.data_len, '\n'), name = find(job, line, ' ');
		if (line == item.data_len || name == line)
			return NO_NAMES;
		const char *content = job + line + 1;
		size_t len = item.data_len - line - 1;

		/* INVOKE NAME, KEY LENGTH SET/ITEM, and the item with a line feed. */
		char *request = pappus_array(item.data_len + NUMBER_ROOM + sizeof("INVOKE \n0  /\n\n"), 1), *at = request;
		at = append(append(append(at, "INVOKE ", 7), job, name), "\n0 ", 3);
		at = append(append_number(at, len), " ", 1);
		at = append(append(at, job + name + 1, line - name - 1), "/\n", 2);
		at = append(append(at, content, len), "\n", 1);

		item.data = request;
		item.data_len = (size_t)(at - request);
		pappus_put(0, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
