/* sum: adds up numbers.
 *
 * The items of numbers hold decimal numbers with white space (space, tab, line
 * end) between them. The answer is one decimal number with a line end: 0 if there
 * are none.
 *
 * Exit code 1: something is no number, or the sum is above 2^64 - 1. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "sum",
	"description": "Adds up the decimal numbers in texts.",
	"inputs": ["numbers"],
	"outputs": [{"name": "total", "type": "item", "content_type": "text/plain; charset=utf-8"}],
	"layout": "grow"
});

enum { NO_NUMBER = 1 };

static int is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int run(void)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < pappus_count(0); i++) {
		const unsigned char *at = pappus_item(0, i)->data, *end = at + pappus_item(0, i)->data_len;
		while (at < end) {
			if (is_blank(*at)) {
				at++;
				continue;
			}
			uint64_t number = 0;
			for (; at < end && !is_blank(*at); at++) {
				uint64_t digit = (uint64_t)*at - '0';
				if (digit > 9 || number > (UINT64_MAX - digit) / 10)
					return NO_NUMBER;
				number = number * 10 + digit;
			}
			if (number > UINT64_MAX - sum)
				return NO_NUMBER;
			sum += number;
		}
	}
	static char text[21]; /* 2^64 - 1 has 20 digits */
	char *at = text + sizeof(text);
	*--at = '\n';
	do
		*--at = (char)('0' + sum % 10);
	while ((sum /= 10) != 0);
	pappus_output(0, "total", at, (size_t)(text + sizeof(text) - at));
	return 0;
}

PAPPUS_FUNCTION(run)
