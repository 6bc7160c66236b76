/* Shared by the runtime's sources only. */
#ifndef RUNTIME_H
#define RUNTIME_H

/* Forgets every block, so that the heap starts anew at heap_begin. */
void __dandelion_heap_init(void);

#endif
