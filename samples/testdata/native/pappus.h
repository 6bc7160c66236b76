/* Stands in for sdk/c/include/pappus.h where a sample is built for this machine,
 * so that a compiler's sanitizers see what it does: the same functions over
 * malloc, each input in a block of its own size, and a main that makes one call
 * after the other in one process.
 *
 * Standard input holds the calls: the number of sets, then of each the number of
 * items, then of each its name, key and data. Standard output gets for each the
 * exit code and the number of items, then of each the number of its set, its
 * name, key and data. Numbers are 32-bit little-endian, names and data begin with
 * their length. */
#ifndef PAPPUS_H
#define PAPPUS_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dandelion/runtime.h"

#define PAPPUS_MANIFEST(...) enum { THE_MANIFEST_IS_LEFT_OUT }
#define PAPPUS_FUNCTION(run) \
	int main(void) { return native_calls(run); }

enum { NATIVE_MOST_BLOCKS = 4096, NATIVE_MOST_SETS = 8 };

static struct {
	void *blocks[NATIVE_MOST_BLOCKS];
	size_t nblocks;
	struct {
		IoBuffer *items;
		size_t count;
	} inputs[NATIVE_MOST_SETS];
	size_t ninputs;
	struct {
		size_t set;
		IoBuffer item;
	} outputs[NATIVE_MOST_BLOCKS];
	size_t noutputs;
	jmp_buf out_of_memory;
} native;

static inline size_t pappus_count(size_t set) { return set < native.ninputs ? native.inputs[set].count : 0; }

static inline const IoBuffer *pappus_item(size_t set, size_t index)
{
	return index < pappus_count(set) ? &native.inputs[set].items[index] : NULL;
}

static inline void pappus_put(size_t set, IoBuffer item)
{
	if (native.noutputs == NATIVE_MOST_BLOCKS)
		abort();
	native.outputs[native.noutputs].set = set;
	native.outputs[native.noutputs++].item = item;
}

static inline void pappus_output(size_t set, const char *name, const void *data, size_t len)
{
	IoBuffer item = {name, strlen(name), (void *)data, len, 0};
	pappus_put(set, item);
}

static inline void *pappus_array(size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)256 << 20)
		longjmp(native.out_of_memory, DANDELION_OUT_OF_MEMORY);
	void *block = malloc(bytes);
	if (block == NULL || native.nblocks == NATIVE_MOST_BLOCKS)
		abort();
	/* What is not set has no good value. */
	memset(block, 0xA5, bytes);
	return native.blocks[native.nblocks++] = block;
}

static inline void pappus_free(void *memory)
{
	for (size_t i = 0; memory != NULL && i < native.nblocks; i++)
		if (native.blocks[i] == memory) {
			native.blocks[i] = native.blocks[--native.nblocks];
			free(memory);
			return;
		}
	if (memory != NULL)
		abort();
}

static inline int native_read_number(uint32_t *n)
{
	uint8_t b[4];
	if (fread(b, 1, 4, stdin) != 4)
		return 0;
	*n = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	return 1;
}

static inline uint32_t native_number(void)
{
	uint32_t n;
	if (!native_read_number(&n))
		abort();
	return n;
}

static inline void *native_bytes(size_t *len)
{
	*len = native_number();
	void *bytes = pappus_array(*len, 1);
	if (fread(bytes, 1, *len, stdin) != *len)
		abort();
	return bytes;
}

static inline void native_write_number(uint32_t n)
{
	uint8_t b[] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
	fwrite(b, 1, 4, stdout);
}

static inline void native_write_bytes(const void *bytes, size_t len)
{
	native_write_number((uint32_t)len);
	if (len != 0)
		fwrite(bytes, 1, len, stdout);
}

static inline int native_call(int (*run)(void))
{
	int code = setjmp(native.out_of_memory);
	return code != 0 ? code : run();
}

static inline int native_calls(int (*run)(void))
{
	uint32_t sets;
	while (native_read_number(&sets)) {
		if (sets > NATIVE_MOST_SETS)
			abort();
		native.ninputs = sets;
		for (size_t i = 0; i < sets; i++) {
			native.inputs[i].count = native_number();
			native.inputs[i].items = pappus_array(native.inputs[i].count, sizeof(IoBuffer));
			for (size_t j = 0; j < native.inputs[i].count; j++) {
				IoBuffer *item = &native.inputs[i].items[j];
				item->ident = native_bytes(&item->ident_len);
				item->key = native_number();
				item->data = native_bytes(&item->data_len);
			}
		}
		native_write_number((uint32_t)native_call(run));
		native_write_number((uint32_t)native.noutputs);
		for (size_t i = 0; i < native.noutputs; i++) {
			const IoBuffer *item = &native.outputs[i].item;
			native_write_number((uint32_t)native.outputs[i].set);
			native_write_bytes(item->ident, item->ident_len);
			native_write_number((uint32_t)item->key);
			native_write_bytes(item->data, item->data_len);
		}
		fflush(stdout);
		native.noutputs = 0;
		while (native.nblocks != 0)
			free(native.blocks[--native.nblocks]);
	}
	return 0;
}

#endif
