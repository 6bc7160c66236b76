/* What wasm32 does for the runtime. */
#ifdef __wasm__

#include "dandelion/system/system.h"

#include <stdint.h>

enum { PAGE = 65536 };

/* The values that mark a struct which no platform has filled in. */
struct dandelion_system_data __dandelion_system_data = {
	.exit_code = 256,
	.heap_begin = SIZE_MAX,
	.heap_end = 0,
	.input_sets_len = SIZE_MAX,
	.output_sets_len = SIZE_MAX,
};

/* Exports the address, so that no linker flag is needed. */
__asm__(".export_name __dandelion_system_data, __dandelion_system_data");

void __dandelion_system_init(void) {}

void __dandelion_system_exit(void) { __builtin_trap(); }

void __dandelion_system_set_thread_pointer(void *pointer) { (void)pointer; }

int __dandelion_system_grow(size_t size)
{
	struct dandelion_system_data *sys = &__dandelion_system_data;
	/* Where the heap does not end with the memory, what lies behind it
	 * belongs to somebody else. */
	if (sys->heap_end % PAGE != 0 || __builtin_wasm_memory_size(0) != sys->heap_end / PAGE)
		return 0;
	size_t pages = size / PAGE + (size % PAGE != 0);
	if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX)
		return 0;
	sys->heap_end += pages * PAGE;
	return 1;
}

#endif
