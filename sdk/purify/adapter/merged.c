/* The libc layer as a part of a finished program, which does not know that it
 * is there: sdk/purify puts both into one module.
 *
 *     0         the program's memory ──►     ◄── blocks   inputs          all
 *     ├── program ──────┤─────── free ──────────┤──────────┤── adapter ──┤
 *
 * The program believes that its memory ends where it last grew it to, and that
 * whatever lies below is its own. So everything else lies above: this layer at
 * the very top, the inputs below it, the blocks that it allocates below them. */
#include <stdint.h>

#include "dandelion/runtime.h"
#include "dandelion/system/system.h"
#include "wasi.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define sys __dandelion_system_data

void __dandelion_finish(int exit_code);

enum { PAGE = 65536 };

/* What purify knows of the program; it writes these into the module. */
struct program {
	uint32_t pages; /* that its memory begins with, then those that it has */
	uint32_t most;  /* pages that it says it can use */
	uint32_t end;   /* where memory that it can have ends while there are no inputs */
};
struct program __pappus_program = {1, 1, 0};
__asm__(".export_name __pappus_program, __pappus_program");

static int running; /* between the beginning of a call and its end */

/* ---- blocks ------------------------------------------------------------ */

/* Blocks are cut off the end of what is free, and kept by size when they are
 * freed: four sizes to a power of two, and large ones in one list. */
struct block {
	uint32_t size; /* header included */
	uint32_t pad;
	struct block *next; /* of its size, while it is free */
	uint32_t pad2;
};

enum { HEADER = sizeof(struct block), LARGE = 64 * 1024, SIZES = 4 * 12 + 1 };

/* While the program initialises itself it is not known where the inputs will
 * lie. Blocks come from here as long as there is room. */
static char early[64 * 1024] __attribute__((aligned(16)));
static char *early_end = early + sizeof early;
static char *late_end;             /* below the inputs, while the program runs */
static struct block *freed[SIZES];

static char *program_end(void) { return (char *)(__pappus_program.pages * PAGE); }

/* The index of a size, which is rounded up to one that has an index. */
static uint32_t index_of(uint32_t *size)
{
	if (*size > LARGE) {
		*size = (*size + 255) & ~255u;
		return SIZES - 1;
	}
	uint32_t power = 31 - (uint32_t)__builtin_clz(*size);
	uint32_t step = power > 6 ? 1u << (power - 2) : 16;
	*size = (*size + step - 1) & ~(step - 1);
	power = 31 - (uint32_t)__builtin_clz(*size);
	return power > 6 ? 4 * (power - 4) + ((*size >> (power - 2)) & 3) : *size / 16;
}

static struct block *carve(uint32_t size)
{
	if (size <= (uint32_t)(early_end - early))
		return (struct block *)(early_end -= size);
	if (!running || late_end < program_end() || size > (uint32_t)(late_end - program_end()))
		return NULL;
	return (struct block *)(late_end -= size);
}

/* Blocks are aligned to 16 bytes, which is enough for all that is asked for here. */
void *dandelion_alloc(size_t size, size_t alignment)
{
	if (alignment > 16 || size > INT32_MAX)
		return NULL;
	uint32_t whole = size + HEADER, i = index_of(&whole);
	struct block **at = &freed[i], *b;
	while (*at != NULL && ((*at)->size < whole || (*at)->size / 2 > whole))
		at = &(*at)->next;
	if ((b = *at) != NULL)
		*at = b->next;
	else if ((b = carve(whole)) != NULL)
		b->size = whole;
	return b != NULL ? b + 1 : NULL;
}

void dandelion_free(void *memory)
{
	if (memory == NULL)
		return;
	struct block *b = (struct block *)memory - 1;
	if ((char *)b == late_end) {
		late_end += b->size;
		return;
	}
	uint32_t size = b->size, i = index_of(&size);
	b->next = freed[i];
	freed[i] = b;
}

void *__wasi_resize(void *block, size_t used, size_t size)
{
	struct block *b = (struct block *)block - 1;
	if ((char *)b == late_end && size <= INT32_MAX) {
		/* The last block becomes longer at its lower end. A single file that
		 * grows leaves nothing behind. */
		uint32_t whole = size + HEADER, more;
		index_of(&whole);
		if (whole <= b->size)
			return block;
		more = whole - b->size;
		if (late_end < program_end() || more > (uint32_t)(late_end - program_end()))
			return NULL;
		late_end -= more;
		__builtin_memmove(late_end + HEADER, block, used);
		b = (struct block *)late_end;
		b->size = whole;
		return b + 1;
	}
	void *other = dandelion_alloc(size, 16);
	if (other == NULL)
		return NULL;
	__builtin_memcpy(other, block, used);
	dandelion_free(block);
	return other;
}

void __dandelion_heap_init(void) {}

/* ---- the program's memory ---------------------------------------------- */

EXPORT("memory.size") uint32_t memory_size(void) { return __pappus_program.pages; }

EXPORT("memory.grow") uint32_t memory_grow(uint32_t pages)
{
	struct program *p = &__pappus_program;
	uint32_t before = p->pages;
	if (pages > p->most - before || ((uint64_t)before + pages) * PAGE > (running ? (uint32_t)late_end : p->end))
		return UINT32_MAX;
	p->pages += pages;
	return before;
}

/* ---- a call ------------------------------------------------------------ */

EXPORT("pappus.begin") void begin(void)
{
	/* What the program grew to while it initialised itself is not known to the
	 * platform, which placed the inputs as if all were free. */
	if (sys.heap_end < __pappus_program.pages * PAGE) {
		sys.exit_code = DANDELION_OUT_OF_MEMORY;
		__builtin_trap();
	}
	dandelion_init();
	late_end = (char *)(sys.heap_end & ~15u);
	running = 1;
	__wasi_begin();
}

EXPORT("pappus.end") void end(int code)
{
	__wasi_collect();
	__dandelion_finish(__wasi_exit_code(code));
}

EXPORT("wasi_snapshot_preview1.proc_exit") _Noreturn void proc_exit(int code)
{
	if (running)
		end(code);
	__builtin_trap();
}

/* ---- without files ----------------------------------------------------- */

/* What programs import from the module "dandelion". There are no sets while a
 * program initialises itself. */

EXPORT("dandelion.input_set_count") uint32_t input_set_count(void) { return running ? dandelion_input_set_count() : 0; }
EXPORT("dandelion.output_set_count") uint32_t output_set_count(void) { return running ? dandelion_output_set_count() : 0; }
EXPORT("dandelion.input_set_ident") const char *input_set_ident(uint32_t set) { return running ? dandelion_input_set_ident(set) : NULL; }
EXPORT("dandelion.input_set_ident_len") uint32_t input_set_ident_len(uint32_t set) { return running ? dandelion_input_set_ident_len(set) : 0; }
EXPORT("dandelion.output_set_ident") const char *output_set_ident(uint32_t set) { return running ? dandelion_output_set_ident(set) : NULL; }
EXPORT("dandelion.output_set_ident_len") uint32_t output_set_ident_len(uint32_t set) { return running ? dandelion_output_set_ident_len(set) : 0; }
EXPORT("dandelion.input_buffer_count") uint32_t input_buffer_count(uint32_t set) { return running ? dandelion_input_buffer_count(set) : 0; }
EXPORT("dandelion.get_input") const IoBuffer *get_input(uint32_t set, uint32_t item) { return running ? dandelion_get_input(set, item) : NULL; }

enum { NO_SUCH_SET = 28, NO_MEMORY = 51 }; /* EINVAL and ENOSPC, as in wasi.c */

/* Adds an item to an output set; its bytes must stay as they are until the end. */
EXPORT("dandelion.add_output")
uint32_t add_output(uint32_t set, const char *ident, uint32_t ident_len, const void *data, uint32_t data_len, uint32_t key)
{
	if (!running || set >= dandelion_output_set_count())
		return NO_SUCH_SET;
	char *name = NULL;
	if (ident_len != 0) {
		if ((name = dandelion_alloc(ident_len, 1)) == NULL)
			return NO_MEMORY;
		__builtin_memcpy(name, ident, ident_len);
	}
	IoBuffer item = {name, ident_len, (void *)data, data_len, key};
	dandelion_add_output(set, item);
	return 0;
}

/* The same with a copy of the bytes. */
EXPORT("dandelion.emit")
uint32_t emit(uint32_t set, const char *ident, uint32_t ident_len, const void *data, uint32_t data_len, uint32_t key)
{
	if (!running || set >= dandelion_output_set_count())
		return NO_SUCH_SET;
	void *bytes = NULL;
	if (data_len != 0) {
		if ((bytes = dandelion_alloc(data_len, 16)) == NULL)
			return NO_MEMORY;
		__builtin_memcpy(bytes, data, data_len);
	}
	return add_output(set, ident, ident_len, bytes, data_len, key);
}

EXPORT("dandelion.exit") _Noreturn void exit_now(int code) { proc_exit(code); }
