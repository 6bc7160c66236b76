#ifndef STAGE_H
#define STAGE_H

/* A stage that keeps a name of its own in stack traces, and its variables off
 * the stack of the others. */
#define STAGE static __attribute__((noinline))

#endif
