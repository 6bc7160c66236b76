/* The work of samples/matmul-size for native code: the same loops from the same
 * header, and memory from malloc. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stdint.h>
#include <stdlib.h>

#include "multiply.h"

/* Not 0 if there was memory for it. */
static int checksum(size_t n, uint64_t *sum)
{
	size_t cells, bytes;
	if (__builtin_mul_overflow(n, n, &cells) || __builtin_mul_overflow(cells, sizeof(uint64_t), &bytes))
		return 0;
	uint64_t *m = malloc(bytes), *product = malloc(bytes);
	if (m != NULL && product != NULL) {
		for (size_t i = 0; i < cells; i++)
			m[i] = i + 1;
		multiply_by_transpose(m, n, n, product);
		*sum = 0;
		for (size_t i = 0; i < cells; i++)
			*sum += product[i];
	}
	int ok = m != NULL && product != NULL;
	free(m);
	free(product);
	return ok;
}

#endif
