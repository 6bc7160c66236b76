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

#if !defined(__wasm__) && !defined(__aarch64__)
#error "this runtime is for wasm32 and aarch64: compile with --target=wasm32, or with a compiler for aarch64"
#endif

/* Writes outputs and exit code without ending the function. */
DANDELION_EXTERN_C void __dandelion_finish(int exit_code);

#ifdef __wasm__

/* Made by the linker: calls the constructors of global objects. */
DANDELION_EXTERN_C void __wasm_call_ctors(void);

/* The heap must be ready before constructors run. A function that comes to its
 * end returns from _start: that is cheaper than the trap of dandelion_exit. */
#define DANDELION_ENTRY(main)                                                  \
	DANDELION_EXTERN_C __attribute__((export_name("_start"))) void _start(void) \
	{                                                                          \
		dandelion_init();                                                      \
		__wasm_call_ctors();                                                   \
		__dandelion_finish((main)());                                          \
	}

#else

/* The linker's table of the constructors of global objects. */
DANDELION_EXTERN_C void (*__init_array_start[])(void) __attribute__((visibility("hidden")));
DANDELION_EXTERN_C void (*__init_array_end[])(void) __attribute__((visibility("hidden")));

/* A native function has nobody to return to. */
#define DANDELION_ENTRY(main)                                                  \
	DANDELION_EXTERN_C __attribute__((noreturn)) void _start(void)             \
	{                                                                          \
		dandelion_init();                                                      \
		for (void (**f)(void) = __init_array_start; f != __init_array_end; f++) \
			(*f)();                                                            \
		dandelion_exit((main)());                                              \
	}

#endif

#endif
