/* httpmake: makes requests for the I/O function HTTP, of a list of URIs.
 *
 * Each line of each item of uris is a URI that is asked for by GET; blank lines are
 * passed over. A request has the key of its list, and its URI as its name.
 *
 * Exit code 1: a line has a blank or a control character in it, which would make it
 * another request, or is longer than a name can be. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "httpmake",
	"description": "Makes requests for HTTP: a GET of each line, which is a URI.",
	"inputs": ["uris"],
	"outputs": ["requests"],
	"layout": "grow"
});

enum { NO_URI = 1, NUMBER_ROOM = 20 };

static char *append(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

static int is_uri(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] <= ' ' || line[i] == 0x7F)
			return 0;
	return 1;
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

static void put(const IoBuffer *list, size_t number, const char *uri, size_t len)
{
	char *name = pappus_array(list->ident_len + 1 + NUMBER_ROOM, 1);
	char *text = pappus_array(len + sizeof("GET  HTTP/1.1\n\n"), 1);
	char *name_end = append_number(append(append(name, list->ident, list->ident_len), "-", 1), number);
	char *text_end = append(append(append(text, "GET ", 4), uri, len), " HTTP/1.1\n\n", 11);
	IoBuffer request = {name, (size_t)(name_end - name), text, (size_t)(text_end - text), list->key};
	pappus_put(0, request);
}

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		const IoBuffer *list = pappus_item(0, i);
		const char *at = list->data, *end = at + list->data_len;
		size_t number = 0;
		while (at < end) {
			const char *line = at;
			while (at < end && *at != '\n')
				at++;
			size_t len = (size_t)(at - line);
			at++;
			if (len != 0 && line[len - 1] == '\r')
				len--;
			if (len == 0)
				continue;
			if (!is_uri(line, len))
				return NO_URI;
			put(list, ++number, line, len);
		}
	}
	return 0;
}

PAPPUS_FUNCTION(run)
