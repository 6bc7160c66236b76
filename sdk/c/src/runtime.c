/* Inputs are used where the platform placed them. Outputs are kept in one
 * growing array a set until the end, when the sets become one flat array. */
#include "dandelion/runtime.h"

#include "dandelion/crt.h"
#include "dandelion/system/system.h"
#include "runtime.h"

#define sys __dandelion_system_data

struct outputs {
	IoBuffer *items;
	size_t len, cap;
};

static struct outputs *outputs; /* one for each output set, NULL before the first item */

void dandelion_init(void)
{
	__dandelion_system_init();
	__dandelion_heap_init();
	outputs = NULL;
}

void dandelion_set_thread_pointer(void *pointer) { __dandelion_system_set_thread_pointer(pointer); }

size_t dandelion_input_set_count(void) { return sys.input_sets_len; }
size_t dandelion_output_set_count(void) { return sys.output_sets_len; }

size_t dandelion_input_buffer_count(size_t set)
{
	if (set >= sys.input_sets_len)
		return 0;
	return sys.input_sets[set + 1].offset - sys.input_sets[set].offset;
}

size_t dandelion_output_buffer_count(size_t set)
{
	if (set >= sys.output_sets_len || outputs == NULL)
		return 0;
	return outputs[set].len;
}

const char *dandelion_input_set_ident(size_t set)
{
	return set < sys.input_sets_len ? sys.input_sets[set].ident : NULL;
}

size_t dandelion_input_set_ident_len(size_t set)
{
	return set < sys.input_sets_len ? sys.input_sets[set].ident_len : 0;
}

const char *dandelion_output_set_ident(size_t set)
{
	return set < sys.output_sets_len ? sys.output_sets[set].ident : NULL;
}

size_t dandelion_output_set_ident_len(size_t set)
{
	return set < sys.output_sets_len ? sys.output_sets[set].ident_len : 0;
}

IoBuffer *dandelion_get_input(size_t set, size_t buf)
{
	if (buf >= dandelion_input_buffer_count(set))
		return NULL;
	return &sys.input_bufs[sys.input_sets[set].offset + buf];
}

/* An array of n, or the end of the function with the code for no memory. */
static void *array_of(size_t n, size_t size, size_t alignment)
{
	void *array = NULL;
	size_t bytes;
	if (!__builtin_mul_overflow(n, size, &bytes))
		array = dandelion_alloc(bytes, alignment);
	if (array == NULL)
		__dandelion_fail(DANDELION_OUT_OF_MEMORY);
	return array;
}

void dandelion_add_output(size_t set, IoBuffer buf)
{
	if (set >= sys.output_sets_len)
		return;
	if (outputs == NULL) {
		struct outputs *all = array_of(sys.output_sets_len, sizeof(*all), _Alignof(struct outputs));
		for (size_t i = 0; i < sys.output_sets_len; i++)
			all[i] = (struct outputs){0};
		outputs = all;
	}
	struct outputs *out = &outputs[set];
	if (out->len == out->cap) {
		size_t cap = out->cap == 0 ? 4 : out->cap * 2;
		IoBuffer *items = array_of(cap, sizeof(*items), _Alignof(IoBuffer));
		for (size_t i = 0; i < out->len; i++)
			items[i] = out->items[i];
		dandelion_free(out->items);
		out->items = items;
		out->cap = cap;
	}
	out->items[out->len++] = buf;
}

/* Writes the cumulative offsets and says how many items there are; *only is
 * the array of the one set that has items, if there is just one. */
static size_t write_offsets(IoBuffer **only)
{
	size_t total = 0, sets = 0;
	for (size_t i = 0; i < sys.output_sets_len; i++) {
		sys.output_sets[i].offset = total;
		if (outputs != NULL && outputs[i].len != 0) {
			total += outputs[i].len;
			*only = outputs[i].items;
			sets++;
		}
	}
	sys.output_sets[sys.output_sets_len].offset = total;
	if (sets > 1)
		*only = NULL;
	return total;
}

void __dandelion_finish(int exit_code)
{
	IoBuffer *flat = NULL;
	size_t total = write_offsets(&flat);
	if (flat == NULL && total != 0) {
		flat = array_of(total, sizeof(*flat), _Alignof(IoBuffer));
		size_t at = 0;
		for (size_t i = 0; i < sys.output_sets_len; i++)
			for (size_t j = 0; j < outputs[i].len; j++)
				flat[at++] = outputs[i].items[j];
	}
	sys.output_bufs = flat;
	sys.exit_code = exit_code;
}

void dandelion_exit(int exit_code)
{
	__dandelion_finish(exit_code);
	__dandelion_system_exit();
}

void __dandelion_fail(int exit_code)
{
	outputs = NULL;
	dandelion_exit(exit_code);
}
