/* The work of matmul and matmul-size. */
#ifndef MULTIPLY_H
#define MULTIPLY_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t dot(const uint64_t *a, const uint64_t *b, size_t n)
{
	uint64_t sum = 0;
	for (size_t k = 0; k < n; k++)
		sum += a[k] * b[k];
	return sum;
}

/* out = m * transpose(m), where m has rows rows and cols columns, both stored
 * row by row; out has rows rows and columns. Sums wrap around at 64 bits.
 *
 * HEIGHT x WIDTH results are made together, so that every value loaded is used
 * several times. */
static void multiply_by_transpose(const uint64_t *restrict m, size_t rows, size_t cols, uint64_t *restrict out)
{
	enum { HEIGHT = 2, WIDTH = 4 };
	size_t i = 0;
	for (; i + HEIGHT <= rows; i += HEIGHT) {
		size_t j = 0;
		for (; j + WIDTH <= rows; j += WIDTH) {
			const uint64_t *a = m + i * cols, *b = m + j * cols;
			uint64_t sum[HEIGHT][WIDTH] = {0};
			for (size_t k = 0; k < cols; k++)
				for (size_t y = 0; y < HEIGHT; y++)
					for (size_t x = 0; x < WIDTH; x++)
						sum[y][x] += a[y * cols + k] * b[x * cols + k];
			for (size_t y = 0; y < HEIGHT; y++)
				for (size_t x = 0; x < WIDTH; x++)
					out[(i + y) * rows + j + x] = sum[y][x];
		}
		for (; j < rows; j++)
			for (size_t y = i; y < i + HEIGHT; y++)
				out[y * rows + j] = dot(m + y * cols, m + j * cols, cols);
	}
	for (; i < rows; i++)
		for (size_t j = 0; j < rows; j++)
			out[i * rows + j] = dot(m + i * cols, m + j * cols, cols);
}

#endif
