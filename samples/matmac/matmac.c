/* matmac: multiplies two matrices and adds a third: a · b + c.
 *
 * Matrices have the form of matmul's: 64-bit little-endian integers, the number
 * of rows, then the values row by row. The result has the name and key of a.
 * Products and sums wrap around at 64 bits.
 *
 * Exit code 1: an item is not such a matrix, or their sizes do not fit. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "matmac",
	"description": "Multiplies two matrices of 64-bit integers and adds a third.",
	"inputs": [{"name": "a", "type": "item"}, {"name": "b", "type": "item"}, {"name": "c", "type": "item"}],
	"outputs": [{"name": "sum", "type": "item"}],
	"layout": "grow"
});

enum { MALFORMED = 1 };

struct matrix {
	size_t rows, cols;
	const uint64_t *values;
};

/* Reads the only item of an input set; returns 0 if that is no matrix. */
static int read_matrix(size_t set, struct matrix *m)
{
	if (pappus_count(set) != 1)
		return 0;
	const IoBuffer *item = pappus_item(set, 0);
	const uint64_t *numbers = item->data;
	if (item->data_len == 0 || item->data_len % sizeof(*numbers) != 0)
		return 0;
	size_t values = item->data_len / sizeof(*numbers) - 1;
	if (numbers[0] == 0 || numbers[0] > values || values % (size_t)numbers[0] != 0)
		return 0;
	*m = (struct matrix){(size_t)numbers[0], values / (size_t)numbers[0], numbers + 1};
	return 1;
}

static int run(void)
{
	struct matrix a, b, c;
	if (!read_matrix(0, &a) || !read_matrix(1, &b) || !read_matrix(2, &c))
		return MALFORMED;
	if (a.cols != b.rows || c.rows != a.rows || c.cols != b.cols)
		return MALFORMED;
	IoBuffer item = *pappus_item(0, 0);
	size_t len = c.rows * c.cols + 1; /* c has as many numbers */
	uint64_t *sum = pappus_array(len, sizeof(*sum));
	sum[0] = c.rows;
	memcpy(sum + 1, c.values, (len - 1) * sizeof(*sum));
	for (size_t i = 0; i < a.rows; i++)
		for (size_t k = 0; k < a.cols; k++)
			for (size_t j = 0; j < b.cols; j++)
				sum[1 + i * b.cols + j] += a.values[i * a.cols + k] * b.values[k * b.cols + j];
	item.data = sum;
	item.data_len = len * sizeof(*sum);
	pappus_put(0, item);
	return 0;
}

PAPPUS_FUNCTION(run)
