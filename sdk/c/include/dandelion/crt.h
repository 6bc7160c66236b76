/* The function's entry. One source file of a function says
 * DANDELION_ENTRY(run), where run is an int run(void): 0 is success. */
#ifndef DANDELION_CRT_H
#define DANDELION_CRT_H

#include "dandelion/runtime.h"

#ifdef __cplusplus
#define DANDELION_EXTERN_C extern "C"
#else
#define DANDELION_EXTERN_C extern
#endif

#ifndef __wasm__
#error "this runtime is for wasm32: compile with --target=wasm32"
#endif

/* Made by the linker: calls the constructors of global objects. */
DANDELION_EXTERN_C void __wasm_call_ctors(void);

/* Writes outputs and exit code without ending the function. */
DANDELION_EXTERN_C void __dandelion_finish(int exit_code);

/* The heap must be ready before constructors run. A function that comes to its
 * end returns from _start: that is cheaper than the trap of dandelion_exit. */
#define DANDELION_ENTRY(main)                                                  \
	DANDELION_EXTERN_C __attribute__((export_name("_start"))) void _start(void) \
	{                                                                          \
		dandelion_init();                                                      \
		__wasm_call_ctors();                                                   \
		__dandelion_finish((main)());                                          \
	}

#endif
