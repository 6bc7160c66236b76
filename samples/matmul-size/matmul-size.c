/* matmul-size: matmul for load tests, which send only a size.
 *
 * The item is a size n as decimal text, blanks and line ends allowed around
 * it. The function makes the matrix of n rows and columns that counts 1, 2, 3
 * ... row by row, multiplies it by its transpose, and answers the sum of all
 * values of the product, modulo 2^64, as decimal text with a line end: 2 makes
 * [1 2; 3 4], whose product is [5 11; 11 25], so the answer is 52.
 *
 * Exit code 1: the item is not a number from 1 to 65535. */
#include <pappus.h>

#include "../matmul/multiply.h"

PAPPUS_MANIFEST({
	"name": "matmul-size",
	"description": "Multiplies a matrix of the given size, which it makes itself, by its transpose.",
	"inputs": [{"name": "size", "type": "item"}],
	"outputs": [{"name": "checksum", "type": "item", "content_type": "text/plain; charset=utf-8"}],
	"layout": "grow"
});

enum { MALFORMED = 1, LARGEST = 65535 };

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The number in text, 0 if it is none from 1 to LARGEST. */
static size_t parse_size(const char *text, size_t len)
{
	while (len != 0 && is_blank(text[len - 1]))
		len--;
	while (len != 0 && is_blank(text[0]))
		text++, len--;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		n = n * 10 + (size_t)(text[i] - '0');
		if (n > LARGEST)
			return 0;
	}
	return n;
}

static int run(void)
{
	const IoBuffer *item = pappus_item(0, 0);
	size_t n = item == NULL ? 0 : parse_size(item->data, item->data_len);
	if (n == 0)
		return MALFORMED;
	size_t cells = n * n;
	uint64_t *m = pappus_array(cells, sizeof(*m));
	uint64_t *product = pappus_array(cells, sizeof(*product));
	for (size_t i = 0; i < cells; i++)
		m[i] = i + 1;
	multiply_by_transpose(m, n, n, product);
	uint64_t sum = 0;
	for (size_t i = 0; i < cells; i++)
		sum += product[i];

	static char text[21]; /* 2^64 - 1 has 20 digits */
	char *at = text + sizeof(text);
	*--at = '\n';
	do
		*--at = (char)('0' + sum % 10);
	while ((sum /= 10) != 0);
	pappus_output(0, "checksum", at, (size_t)(text + sizeof(text) - at));
	return 0;
}

PAPPUS_FUNCTION(run)
