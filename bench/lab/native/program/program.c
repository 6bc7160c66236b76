/* A process that does the work of matmul-size: the size from its input, the
 * checksum to its output. */
#include <inttypes.h>
#include <stdio.h>

#include "checksum.h"

int main(void)
{
	size_t n;
	uint64_t sum;
	if (scanf("%zu", &n) != 1 || n == 0 || n > 65535 || !checksum(n, &sum))
		return 1;
	printf("%" PRIu64 "\n", sum);
	return 0;
}
