/* What Morello does for the runtime, whose code is plain A64 but for the exit. */
#ifdef __aarch64__

#include "dandelion/system/system.h"

#include <stdint.h>

/* The values that mark a struct which no platform has filled in. */
struct dandelion_system_data __dandelion_system_data = {
	.exit_code = 256,
	.heap_begin = SIZE_MAX,
	.heap_end = 0,
	.input_sets_len = SIZE_MAX,
	.output_sets_len = SIZE_MAX,
};

/* Here the platform puts the sealed capability through which a function leaves. */
unsigned char __dandelion_return_address[16] __attribute__((aligned(16)));

void __dandelion_system_init(void) {}

void __dandelion_system_exit(void)
{
	register void *slot __asm__("x8") = __dandelion_return_address;
	__asm__ volatile(".inst 0xc2400100\n\t" /* ldr c0, [x8] */
	                 ".inst 0xc2c4101d"     /* ldpbr c29, [c0] */
	                 :
	                 : "r"(slot)
	                 : "memory");
	__builtin_unreachable();
}

void __dandelion_system_set_thread_pointer(void *pointer)
{
	__asm__ volatile("msr tpidr_el0, %0" : : "r"(pointer));
}

/* The heap has all that there is from the start. */
int __dandelion_system_grow(size_t size)
{
	(void)size;
	return 0;
}

#endif
