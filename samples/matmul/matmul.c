/* matmul: multiplies matrices by their transposes.
 *
 * An item is 64-bit little-endian integers: the number of rows, then the
 * values row by row, so [2, 1, 2, 3, 4] is a matrix of two rows. The result is
 * of the same form: [2, 5, 11, 11, 25]. Every input item gives an output item
 * of the same name and key. Sums wrap around at 64 bits.
 *
 * Exit code 1: an item is not such a matrix. */
#include <pappus.h>

#include "multiply.h"

PAPPUS_MANIFEST({
	"name": "matmul",
	"description": "Multiplies each matrix of 64-bit integers by its transpose.",
	"inputs": ["matrices"],
	"outputs": ["products"],
	"layout": "grow"
});

enum { MALFORMED = 1 };

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		const uint64_t *numbers = item.data;
		if (item.data_len == 0 || item.data_len % sizeof(*numbers) != 0)
			return MALFORMED;
		size_t values = item.data_len / sizeof(*numbers) - 1;
		if (numbers[0] == 0 || numbers[0] > values || values % (size_t)numbers[0] != 0)
			return MALFORMED;
		size_t rows = numbers[0], len;
		if (__builtin_mul_overflow(rows, rows, &len) || __builtin_add_overflow(len, 1, &len))
			return DANDELION_OUT_OF_MEMORY;
		uint64_t *product = pappus_array(len, sizeof(*product));
		product[0] = rows;
		multiply_by_transpose(numbers + 1, rows, values / rows, product + 1);
		item.data = product;
		item.data_len = len * sizeof(*product);
		pappus_put(0, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
