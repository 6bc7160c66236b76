/* What a function may ask of the runtime. Sets and items are numbered from 0
 * in the order of the signature and of the request. */
#ifndef DANDELION_RUNTIME_H
#define DANDELION_RUNTIME_H

#include <stddef.h>

#include "dandelion/io_buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes that the platform and the runtime use themselves. */
enum {
	DANDELION_NEVER_EXITED = -1,
	DANDELION_UNINITIALISED = 256,
	DANDELION_OVERLAPPING_ALLOCATION = 257, /* the heap's bookkeeping was overwritten */
	DANDELION_DOUBLE_FREE = 258,            /* free of what is not an allocated block */
	DANDELION_OUT_OF_MEMORY = 259,
};

/* Prepares the runtime; DANDELION_ENTRY (crt.h) calls it first. */
void dandelion_init(void);

/* Ends the function: 0 is success, and outputs count only then. */
void dandelion_exit(int exit_code) __attribute__((noreturn));

/* Memory of at least size bytes whose address is a multiple of alignment (a
 * power of two; 0 means 1). NULL when there is no memory left or alignment
 * makes no sense. It is not zeroed. */
void *dandelion_alloc(size_t size, size_t alignment);

/* Gives memory of dandelion_alloc back; NULL is allowed. */
void dandelion_free(void *memory);

/* Takes size bytes from the end of the heap for good, contiguous with those of
 * the call before unless dandelion_alloc took some between. NULL when there is
 * no memory left. size 0 tells where the next bytes would lie. */
void *dandelion_sbrk(size_t size);

/* Nothing in wasm32, which has no thread pointer. */
void dandelion_set_thread_pointer(void *pointer);

size_t dandelion_input_set_count(void);
size_t dandelion_output_set_count(void);

/* Number of items in a set; of outputs, those added so far. 0 for a set that
 * does not exist. */
size_t dandelion_input_buffer_count(size_t set);
size_t dandelion_output_buffer_count(size_t set);

/* A set's name, not NUL-terminated; NULL and 0 for a set that does not exist. */
const char *dandelion_input_set_ident(size_t set);
size_t dandelion_input_set_ident_len(size_t set);
const char *dandelion_output_set_ident(size_t set);
size_t dandelion_output_set_ident_len(size_t set);

/* An input item, NULL if there is no such item. Its data lie in the function's
 * memory, aligned to 128 bytes, and may be written to. */
IoBuffer *dandelion_get_input(size_t set, size_t buf);

/* Adds an item to an output set. Name and data are not copied: they must stay
 * as they are until the function ends. Does nothing if there is no such set. */
void dandelion_add_output(size_t set, IoBuffer buf);

#ifdef __cplusplus
}
#endif

#endif
