#ifndef DANDELION_IO_BUFFER_H
#define DANDELION_IO_BUFFER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An item: bytes with a name and a key. The name is not NUL-terminated; an
 * empty one has pointer 0. Keys are 32 bits wide on the platform's side. */
typedef struct IoBuffer {
	const char *ident;
	size_t ident_len;
	void *data;
	size_t data_len;
	size_t key;
} IoBuffer;

#ifdef __cplusplus
}
#endif

#endif
