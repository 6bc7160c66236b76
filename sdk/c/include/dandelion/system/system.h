/* The interface between platform and runtime. Functions use runtime.h. */
#ifndef DANDELION_SYSTEM_H
#define DANDELION_SYSTEM_H

#include <stddef.h>

#include "dandelion/io_buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A set: its items are bufs[sets[i].offset] up to, not including,
 * bufs[sets[i + 1].offset]. Every array of sets ends in a sentinel without a
 * name whose offset is the number of all items. */
struct io_set_info {
	const char *ident; /* not NUL-terminated */
	size_t ident_len;
	size_t offset;
};

struct dandelion_system_data {
	int exit_code;                   /* the platform writes -1, the function its result */
	size_t heap_begin;               /* first free byte behind what the platform placed */
	size_t heap_end;                 /* end of the memory that may be used as heap */
	size_t input_sets_len;           /* without the sentinel */
	struct io_set_info *input_sets;  /* input_sets_len + 1 */
	size_t output_sets_len;          /* without the sentinel */
	struct io_set_info *output_sets; /* output_sets_len + 1; the function writes the offsets */
	struct IoBuffer *input_bufs;     /* all input items */
	struct IoBuffer *output_bufs;    /* all output items: written by the function */
};

/* The platform finds the struct through this symbol. */
extern struct dandelion_system_data __dandelion_system_data;

/* Hooks that a machine implements (src/system_*.c). */
void __dandelion_system_init(void);
void __dandelion_system_exit(void) __attribute__((noreturn));
void __dandelion_system_set_thread_pointer(void *pointer);

/* Makes the heap at least size bytes longer by moving heap_end; 0 if there is
 * no more memory. */
int __dandelion_system_grow(size_t size);

#ifdef __cplusplus
}
#endif

#endif
