/* The libc layer linked into a program together with wasi-libc, whose imports
 * it defines: the program's entry, and memory from the runtime's heap. */
#include <errno.h>

#include "../src/runtime.h"
#include "dandelion/crt.h"
#include "dandelion/runtime.h"
#include "wasi.h"

int __main_void(void);        /* libc's: calls main, with arguments if it takes any */
void __wasm_call_dtors(void); /* libc's: atexit, and what stdio has not written yet */

/* Referring to the constructors keeps the linker from calling them around
 * every export. */
__attribute__((export_name("_start"))) void _start(void)
{
	dandelion_init();
	__wasi_begin();
	__wasm_call_ctors();
	int code = __main_void();
	__wasm_call_dtors();
	__wasi_collect();
	__dandelion_finish(__wasi_exit_code(code));
}

_Noreturn void __imported_wasi_snapshot_preview1_proc_exit(int code)
{
	__wasi_collect();
	dandelion_exit(__wasi_exit_code(code));
}

void *__wasi_resize(void *block, size_t used, size_t size)
{
	if (__dandelion_extend(block, size))
		return block;
	void *other = dandelion_alloc(size, 16);
	if (other == NULL)
		return NULL;
	__builtin_memcpy(other, block, used);
	dandelion_free(block);
	return other;
}

/* libc's own allocator takes all memory for its own that it finds. */

enum { ALIGNMENT = _Alignof(max_align_t) };

static void *or_none(void *memory)
{
	if (memory == NULL)
		errno = ENOMEM;
	return memory;
}

void *malloc(size_t size) { return or_none(dandelion_alloc(size, ALIGNMENT)); }

void free(void *memory) { dandelion_free(memory); }

void *calloc(size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes))
		return or_none(NULL);
	void *memory = malloc(bytes);
	if (memory != NULL)
		__builtin_memset(memory, 0, bytes);
	return memory;
}

void *realloc(void *memory, size_t size)
{
	if (memory == NULL)
		return malloc(size);
	size_t had = __dandelion_size(memory);
	return or_none(had >= size ? memory : __wasi_resize(memory, had, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return or_none(dandelion_alloc(size, alignment < ALIGNMENT ? ALIGNMENT : alignment)); }

void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size)
{
	if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
		return EINVAL;
	void *memory = dandelion_alloc(size, alignment < ALIGNMENT ? ALIGNMENT : alignment);
	if (memory == NULL)
		return ENOMEM;
	*out = memory;
	return 0;
}

/* What libc itself allocates with. */
void *__libc_malloc(size_t size) { return malloc(size); }
void *__libc_calloc(size_t n, size_t size) { return calloc(n, size); }
void __libc_free(void *memory) { free(memory); }

size_t malloc_usable_size(void *memory) { return memory == NULL ? 0 : __dandelion_size(memory); }
