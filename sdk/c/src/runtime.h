/* Shared by the runtime's sources only. */
#ifndef RUNTIME_H
#define RUNTIME_H

/* Forgets every block, so that the heap starts anew at heap_begin. */
void __dandelion_heap_init(void);

/* Ends the function because its memory is damaged or used up: without outputs,
 * which may be damaged as well and would need more memory. */
void __dandelion_fail(int exit_code) __attribute__((noreturn));

#endif
