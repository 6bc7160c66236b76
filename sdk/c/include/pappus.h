/* A function for Pappus in C: this header, a manifest, and an int run(void).
 *
 *     #include <pappus.h>
 *
 *     PAPPUS_MANIFEST({"inputs": ["text"], "outputs": ["copy"], "layout": "grow"});
 *
 *     static int run(void)
 *     {
 *         for (size_t i = 0; i < pappus_count(0); i++)
 *             pappus_put(0, *pappus_item(0, i));
 *         return 0;
 *     }
 *     PAPPUS_FUNCTION(run)
 */
#ifndef PAPPUS_H
#define PAPPUS_H

#include <stddef.h>
#include <stdint.h>

#include "dandelion/crt.h"
#include "dandelion/runtime.h"

/* Names the function that does the work: an int run(void) that returns 0 for
 * success. Any other number fails the call with that exit code. */
#define PAPPUS_FUNCTION(run) DANDELION_ENTRY(run)

/* Embeds the manifest, a JSON object without quotes around it, as the
 * section "pappus" of the module or file. Once in a function. It should say
 * "layout": "grow": the heap of this runtime grows the memory by itself. */
#define PAPPUS_MANIFEST(...) PAPPUS_SECTION(PAPPUS_STRING(PAPPUS_STRING(__VA_ARGS__)))
#define PAPPUS_STRING(...) PAPPUS_STRING_OF(__VA_ARGS__)
#define PAPPUS_STRING_OF(...) #__VA_ARGS__
#ifdef __wasm__
#define PAPPUS_SECTION(quoted)                               \
	__asm__(".section .custom_section.pappus,\"\",@\n" \
	        ".ascii " quoted "\n"                      \
	        ".text")
#else
#define PAPPUS_SECTION(quoted)                       \
	__asm__(".section pappus,\"\",%progbits\n" \
	        ".ascii " quoted "\n"              \
	        ".text")
#endif

/* Declared here because there is no <string.h>; the runtime has them. */
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *__restrict dst, const void *__restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *left, const void *right, size_t n);
size_t strlen(const char *s);
#ifdef __cplusplus
}
#endif

/* Number of items in an input set. */
static inline size_t pappus_count(size_t set) { return dandelion_input_buffer_count(set); }

/* An item of an input set, NULL if there is none. */
static inline const IoBuffer *pappus_item(size_t set, size_t index) { return dandelion_get_input(set, index); }

/* The item of that name in an input set, NULL if there is none. */
static inline const IoBuffer *pappus_find(size_t set, const char *name)
{
	size_t len = strlen(name), count = pappus_count(set);
	for (size_t i = 0; i < count; i++) {
		const IoBuffer *item = pappus_item(set, i);
		if (item->ident_len == len && memcmp(item->ident, name, len) == 0)
			return item;
	}
	return NULL;
}

/* Adds an item to an output set, name and bytes in place: they must stay as
 * they are until the function ends. */
static inline void pappus_put(size_t set, IoBuffer item) { dandelion_add_output(set, item); }

/* The same from its parts, with key 0. */
static inline void pappus_output(size_t set, const char *name, const void *data, size_t len)
{
	IoBuffer item = {name, strlen(name), (void *)data, len, 0};
	dandelion_add_output(set, item);
}

/* Memory for n things of size bytes, aligned for any type and not zeroed. Never
 * NULL: where there is none left the function ends with exit code 259. */
static inline void *pappus_array(size_t n, size_t size)
{
	size_t bytes;
	void *memory = __builtin_mul_overflow(n, size, &bytes) ? NULL : dandelion_alloc(bytes, 16);
	if (memory == NULL)
		dandelion_exit(DANDELION_OUT_OF_MEMORY);
	return memory;
}

/* Gives memory of pappus_array back. */
static inline void pappus_free(void *memory) { dandelion_free(memory); }

#endif
