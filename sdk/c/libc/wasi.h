/* What the libc layer (wasi.c) asks of the module that it is part of: link.c
 * and the adapter of sdk/purify implement it. */
#ifndef PAPPUS_WASI_H
#define PAPPUS_WASI_H

#include <stddef.h>
#include <stdint.h>

/* The functions that programs call: imported ones get their names when libc is
 * linked, or when purify finds what a finished program imports. */
#ifdef PAPPUS_MERGED
#define WASI(name) __attribute__((export_name("wasi_snapshot_preview1." #name))) __wasi_errno __wasi_##name
#else
#define WASI(name) __wasi_errno __imported_wasi_snapshot_preview1_##name
#endif

typedef int32_t __wasi_errno;

/* Makes a block of dandelion_alloc that holds used bytes one of at least size.
 * It may move. NULL, and the block stays as it is, when there is no memory. */
void *__wasi_resize(void *block, size_t used, size_t size);

/* Turns what the program wrote into output items. Once, before
 * __dandelion_finish. */
void __wasi_collect(void);

/* The exit code that stands for one of the program, which may be any number. */
int __wasi_exit_code(int code);

/* Ends the function without outputs. */
void __dandelion_fail(int exit_code) __attribute__((noreturn));

/* Tells the layer that inputs and output sets are there now. */
void __wasi_begin(void);

#endif
