/* Functions that behave and misbehave, one for each CASE. What they do wrong is
 * in assembly, so that the compiler leaves it alone. */
#include <pappus.h>
#include <dandelion/system/system.h>

#define sys __dandelion_system_data
#define IS(name) (CASE == CASE_##name)

extern char __dandelion_return_address[16];

enum {
#define CASE_OF(name) CASE_##name,
#include "cases.h"
#undef CASE_OF
};

static void output(size_t items, const void *at)
{
	for (size_t i = 0; i <= sys.output_sets_len; i++)
		sys.output_sets[i].offset = i == 0 ? 0 : items;
	sys.output_bufs = (IoBuffer *)at;
	sys.exit_code = 0;
	__dandelion_system_exit();
}

static uint64_t load(uint64_t at)
{
	uint64_t v;
	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void store(uint64_t at, uint64_t v) { __asm__ volatile("str %0, [%1]" : : "r"(v), "r"(at) : "memory"); }

static void store_byte(uint64_t at) { __asm__ volatile("strb wzr, [%0]" : : "r"(at) : "memory"); }

static void jump(uint64_t to) { __asm__ volatile("blr %0" : : "r"(to) : "memory", "x30"); }

/* What the compiler knows nothing of. */
static int unknown(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static double unknown_double(double x)
{
	__asm__ volatile("" : "+w"(x));
	return x;
}

__attribute__((noinline)) static int innermost(volatile int *at) { return at[unknown(1) << 28]; }
__attribute__((noinline)) static int middle(volatile int *at) { return innermost(at) + 1; }
__attribute__((noinline)) static int outermost(volatile int *at) { return middle(at) + 1; }

#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) static int recurse(volatile int *of)
{
	volatile int here[16] = {*of};
	return recurse(here) + here[3];
}

static int run(void)
{
	uint64_t end = sys.heap_end;
	IoBuffer item = {"name", 4, "data", 4, 0};
	if (IS(echo))
		for (size_t i = 0; i < pappus_count(0); i++)
			pappus_put(0, *pappus_item(0, i));
	if (IS(spin))
		for (;;)
			__asm__ volatile("");
	if (IS(grow))
		for (uint64_t at = sys.heap_begin; at < end - 64; at += 4096)
			store((at + 7) & ~7ull, at);
	if (IS(touch_all)) {
		store(end - 8, 1);
		return load(end - 8) == 1 && load(end - 4096) == 0 ? 0 : 3;
	}
	if (IS(recurse)) {
		int zero = 0;
		return recurse(&zero);
	}
	if (IS(trap))
		__builtin_trap();
	if (IS(trap_after_exit)) {
		sys.exit_code = 0;
		load(end);
	}
	if (IS(exit_7))
		return 7;
	if (IS(exit_unset))
		__dandelion_system_exit();
	if (IS(exit_memory))
		pappus_array((size_t)1 << 40, 1);
	if (IS(stderr)) {
		item.ident = "stderr";
		item.ident_len = 6;
		item.data = "went wrong";
		item.data_len = 10;
		pappus_put(0, item);
		return 5;
	}

	/* Accesses outside of the context. */
	if (IS(load_at_the_end))
		load(end - 7);
	if (IS(load_behind_the_end))
		load(end);
	if (IS(store_at_the_end))
		store(end - 7, 0);
	if (IS(store_byte_behind_the_end))
		store_byte(end);
	if (IS(load_before_the_start))
		load(-1ull);
	if (IS(load_far_before_the_start))
		load(-(1ull << 40));
	if (IS(load_the_last_address))
		load(-8ull);
	if (IS(store_of_the_host))
		store(1ull << 40, 0);
	if (IS(pair_across_the_end))
		__asm__ volatile("stp %0, %0, [%1]" : : "r"(end), "r"(end - 8) : "memory");
	if (IS(pair_of_vectors_across_the_end))
		__asm__ volatile("ldp q0, q1, [%0]" : : "r"(end - 16) : "memory", "v0", "v1");
	if (IS(pre_index_across_the_end))
		__asm__ volatile("mov x9, %0\n\tstr x10, [x9, #16]!" : : "r"(end - 20) : "memory", "x9");
	if (IS(register_offset_that_wraps))
		__asm__ volatile("ldr x9, [%0, %1]" : : "r"(end), "r"(-1ull << 63) : "memory", "x9");

	/* Jumps to where no code is. */
	if (IS(jump_to_null))
		jump(0);
	if (IS(jump_behind_the_end))
		jump(end);
	if (IS(jump_to_data))
		jump((uint64_t)&sys);
	if (IS(jump_to_heap)) {
		uint32_t *code = pappus_array(16, 4);
		code[0] = 0xd65f03c0; /* ret */
		jump((uint64_t)code);
	}
	if (IS(jump_between_instructions))
		jump((uint64_t)&store_byte + 2);
	if (IS(jump_to_the_last_address))
		jump(-4ull);

	/* Code can't be written, nor read as literals. */
	if (IS(store_to_code))
		store((uint64_t)&store_byte, 0xd65f03c0d65f03c0);
	if (IS(literal))
		__asm__ volatile("ldr x9, .+8" : : : "x9");

	/* The way out is there for those who are given it. */
	if (IS(forged_slot)) {
		uint64_t words[2] = {load((uint64_t)__dandelion_return_address), load((uint64_t)__dandelion_return_address + 8)};
		store((uint64_t)__dandelion_return_address, words[0]);
		store((uint64_t)__dandelion_return_address + 8, words[1]);
		sys.exit_code = 0;
		__dandelion_system_exit();
	}
	if (IS(overwritten_slot)) {
		store_byte((uint64_t)__dandelion_return_address + 15);
		sys.exit_code = 0;
		__dandelion_system_exit();
	}
	if (IS(copied_slot)) {
		static char copy[16] __attribute__((aligned(16)));
		__asm__ volatile("ldr q0, [%1]\n\tstr q0, [%0]\n\tmov x8, %0\n\t"
		                 ".inst 0xc2400100\n\t.inst 0xc2c4101d"
		                 : : "r"(copy), "r"(__dandelion_return_address) : "memory", "x8", "v0");
	}
	if (IS(stored_capability)) /* ldr c0, [x8]; str c0, [x9] */
		__asm__ volatile("mov x8, %0\n\tmov x9, %1\n\t.inst 0xc2400100\n\t.inst 0xc2000120"
		                 : : "r"(__dandelion_return_address), "r"(pappus_array(2, 16)) : "memory", "x0", "x8", "x9");
	if (IS(narrowed_data)) /* cvtd c0, x0; scbnds c0, c0, x1; msr ddc, c0 */
		__asm__ volatile("mov x0, #0\n\t.inst 0xc2c59000\n\tmov x1, #0x1000\n\t.inst 0xc2c10000\n\t.inst 0xc28b4120\n\t"
		                 "str x1, [%0]" : : "r"(0xfffff0UL) : "memory", "x0", "x1");
	if (IS(unaligned_capability))
		__asm__ volatile("mov x8, %0\n\t.inst 0xc2400100" : : "r"(__dandelion_return_address + 8) : "memory", "x0", "x8");
	if (IS(unaligned_stack))
		__asm__ volatile("mov x9, sp\n\tadd x10, x9, #8\n\tmov sp, x10\n\tldr x10, [sp]\n\tmov sp, x9" : : : "x9", "x10");

	/* Instructions that functions have no business with. */
	if (IS(svc))
		__asm__ volatile("mov x8, #64\n\tsvc #0" : : : "x8", "x0");
	if (IS(brk))
		__asm__ volatile("brk #42");
	if (IS(undefined))
		__asm__ volatile(".inst 0x00000000");
	if (IS(hvc))
		__asm__ volatile(".inst 0xd4000002");
	if (IS(counter))
		__asm__ volatile("mrs x9, cntvct_el0" : : : "x9");
	if (IS(cache_maintenance))
		__asm__ volatile("dc zva, %0" : : "r"(sys.heap_begin) : "memory");

	/* Outputs that can't be read. */
	if (IS(bad_sets)) {
		sys.output_sets = (void *)(end - 8);
		sys.exit_code = 0;
		__dandelion_system_exit();
	}
	if (IS(bad_sets_length)) {
		sys.output_sets_len = -1ull;
		sys.exit_code = 0;
		__dandelion_system_exit();
	}
	if (IS(bad_items))
		output(1, (void *)(end - 8));
	if (IS(bad_items_wrap))
		output(2, (void *)-40ll);
	if (IS(bad_count))
		output((size_t)1 << 62, &item);
	if (IS(bad_name)) {
		item.ident_len = 1 << 20;
		output(1, &item);
	}
	if (IS(bad_name_place)) {
		item.ident = (void *)-2ll;
		output(1, &item);
	}
	if (IS(bad_data)) {
		item.data = (void *)(end - 2);
		output(1, &item);
	}
	if (IS(bad_data_length)) {
		item.data_len = -1ull;
		output(1, &item);
	}
	if (IS(bad_key)) {
		item.key = (size_t)1 << 32;
		output(1, &item);
	}
	if (IS(bad_text)) {
		item.ident = "a\nb";
		item.ident_len = 3;
		output(1, &item);
	}

	/* What C leaves open, and WebAssembly does not. */
	if (IS(divide))
		return unknown(7) / unknown(0);
	if (IS(divide_smallest))
		return unknown(-2147483647 - 1) / unknown(-1);
	if (IS(remainder))
		return unknown(7) % unknown(0);
	if (IS(convert))
		return (int)unknown_double(3e9);
	if (IS(convert_nan))
		return (int)unknown_double(__builtin_nan(""));
	if (IS(overflow)) {
		int n = unknown(2147483647);
		return n + 1 < n ? 0 : 3;
	}
	if (IS(calls)) {
		int zero = 0;
		return outermost(&zero);
	}

	/* Outputs where the function has never been. */
	if (IS(unreached)) {
		item.data = (void *)(end - (1 << 19));
		item.data_len = 1 << 19;
		output(1, &item);
	}
	if (IS(unreached_items))
		output(100, (void *)(end - 100 * sizeof item));
	return 0;
}

PAPPUS_FUNCTION(run)
