/* Shared by the runtime's sources only. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stddef.h>

/* Forgets every block, so that the heap starts anew at heap_begin. */
void __dandelion_heap_init(void);

/* Bytes of a block of dandelion_alloc. */
size_t __dandelion_size(const void *memory);

/* Makes a block of dandelion_alloc at least size bytes long where it lies; 0,
 * and it stays as it is, if that is not possible. */
int __dandelion_extend(void *memory, size_t size);

/* Ends the function because its memory is damaged or used up: without outputs,
 * which may be damaged as well and would need more memory. */
void __dandelion_fail(int exit_code) __attribute__((noreturn));

#endif
