/* The heap: blocks side by side, each with a header that holds its own size
 * and that of the block before it, so that free blocks merge with both
 * neighbours at once. Free blocks hang in lists by the power of two of their
 * size; alloc takes the first that fits, else a longer heap. The heap grows by
 * what is needed only, so that a small function touches little memory. */
#include <stdint.h>

#include "dandelion/runtime.h"
#include "dandelion/system/system.h"
#include "runtime.h"

#define sys __dandelion_system_data

/* Kept in the low bits of a block's size. Two values of four bits, so that a
 * pointer which is no block is noticed most of the time. */
enum { FREE = 0xA, USED = 0x5, STATE = 0xF };

struct block {
	size_t size_and_state;
	size_t before; /* size of the block before; 0 for the first of a segment */
	struct block *next, *prev; /* in its list, while it is free */
};

/* Sizes are those of whole blocks, header included, and multiples of GRAIN, the
 * smallest block. So are the addresses that are handed out: headers lie before
 * them. */
#define GRAIN sizeof(struct block)
#define HEADER (2 * sizeof(size_t))
#define LISTS (8 * sizeof(size_t))

static char *end_of_heap;             /* what sbrk handed out ends here */
static struct block *fence;           /* the empty used block that ends the last segment */
static struct block *lists[LISTS];    /* lists[i]: free blocks of 2^i up to 2^(i+1) - 1 bytes */
static size_t occupied;               /* bit i: lists[i] is not empty */

void __dandelion_heap_init(void)
{
	end_of_heap = (char *)sys.heap_begin;
	fence = NULL;
	/* A new instance's memory is zero: nothing is written that need not be. */
	if (occupied != 0) {
		for (size_t i = 0; i < LISTS; i++)
			lists[i] = NULL;
		occupied = 0;
	}
}

void *dandelion_sbrk(size_t size)
{
	size_t begin = (size_t)end_of_heap;
	/* Room that may not exist is asked for only where the sum exists. */
	if (size > SIZE_MAX - begin || begin > sys.heap_end)
		return NULL;
	size_t room = sys.heap_end - begin;
	if (size > room && !__dandelion_system_grow(size - room))
		return NULL;
	end_of_heap += size;
	return (void *)begin;
}

static size_t size_of(const struct block *b) { return b->size_and_state & ~(size_t)STATE; }
static struct block *after(const struct block *b) { return (struct block *)((char *)b + size_of(b)); }
static struct block *before(const struct block *b) { return (struct block *)((char *)b - b->before); }
static int is_free(const struct block *b) { return (b->size_and_state & STATE) == FREE; }

static unsigned list_of(size_t size)
{
	return (unsigned)(8 * sizeof(unsigned long long) - 1 - (unsigned)__builtin_clzll(size));
}

/* Sizes that contradict one another mean that the function wrote past the end
 * of a block. */
static void check_sizes(const struct block *b)
{
	if (after(b)->before != size_of(b))
		__dandelion_fail(DANDELION_OVERLAPPING_ALLOCATION);
}

static void unlist(struct block *b)
{
	unsigned list = list_of(size_of(b));
	if (b->prev != NULL)
		b->prev->next = b->next;
	else
		lists[list] = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
	if (lists[list] == NULL)
		occupied &= ~((size_t)1 << list);
}

/* Makes [b, b + size) one free block; the block before it is of that size. */
static void make_free(struct block *b, size_t size, size_t before_size)
{
	unsigned list = list_of(size);
	b->size_and_state = size | FREE;
	b->before = before_size;
	after(b)->before = size;
	b->prev = NULL;
	b->next = lists[list];
	if (b->next != NULL)
		b->next->prev = b;
	lists[list] = b;
	occupied |= (size_t)1 << list;
}

/* Turns a used block into a free one, together with free neighbours. */
static void release(struct block *b)
{
	size_t size = size_of(b), before_size = b->before;
	check_sizes(b);
	/* Noticed by a second free, even when b is about to be merged away. */
	b->size_and_state = size | FREE;
	struct block *next = after(b);
	if (is_free(next)) {
		check_sizes(next);
		unlist(next);
		size += size_of(next);
	}
	if (before_size != 0) {
		struct block *prev = before(b);
		if (size_of(prev) != before_size)
			__dandelion_fail(DANDELION_OVERLAPPING_ALLOCATION);
		if (is_free(prev)) {
			unlist(prev);
			size += before_size;
			before_size = prev->before;
			b = prev;
		}
	}
	make_free(b, size, before_size);
}

/* Makes the heap longer so that a free block of at least size bytes is at its
 * end: the fence becomes its header, and a new fence follows. Inlined where it
 * is called, whoever else calls it. */
static inline __attribute__((always_inline)) int extend(size_t size)
{
	if (fence != NULL && (char *)fence + HEADER == end_of_heap) {
		/* A free last block is smaller than size, or it would have been found. */
		size_t more = size - (is_free(before(fence)) ? fence->before : 0);
		if (dandelion_sbrk(more) == NULL)
			return 0;
		struct block *b = fence;
		b->size_and_state = more | USED;
		fence = after(b);
		fence->size_and_state = USED;
		fence->before = more;
		release(b);
		return 1;
	}
	/* The first segment, or one behind what the function took with sbrk. */
	size_t skip = -((size_t)end_of_heap + HEADER) % GRAIN;
	if (size > SIZE_MAX - skip - HEADER)
		return 0;
	char *begin = dandelion_sbrk(skip + size + HEADER);
	if (begin == NULL)
		return 0;
	struct block *b = (struct block *)(begin + skip);
	fence = (struct block *)((char *)b + size);
	fence->size_and_state = USED;
	make_free(b, size, 0);
	return 1;
}

/* A free block of at least size bytes, NULL if there is none. Within the list
 * of size's own power of two some are too small; in those above none is. */
static struct block *find(size_t size)
{
	unsigned list = list_of(size);
	for (struct block *b = lists[list]; b != NULL; b = b->next)
		if (size_of(b) >= size)
			return b;
	size_t larger = occupied & ~(((size_t)2 << list) - 1);
	if (larger == 0)
		return NULL;
	return lists[__builtin_ctzl(larger)];
}

/* Makes a free block, that is in no list, a used one of size bytes, and gives
 * the rest back. */
static void *take(struct block *b, size_t size)
{
	size_t rest = size_of(b) - size;
	b->size_and_state = size | USED;
	if (rest != 0)
		make_free(after(b), rest, size);
	return (char *)b + HEADER;
}

void *dandelion_alloc(size_t size, size_t alignment)
{
	if ((alignment & (alignment - 1)) != 0)
		return NULL;
	/* In front of an aligned block up to alignment - GRAIN bytes stay free. */
	size_t slack = alignment > GRAIN ? alignment - GRAIN : 0;
	if (size > SIZE_MAX - slack - HEADER - GRAIN)
		return NULL;
	size_t need = (size + HEADER + GRAIN - 1) & ~(GRAIN - 1);
	struct block *b = find(need + slack);
	if (b == NULL) {
		if (!extend(need + slack))
			return NULL;
		b = before(fence);
	}
	if (!is_free(b))
		__dandelion_fail(DANDELION_OVERLAPPING_ALLOCATION);
	check_sizes(b);
	unlist(b);
	if (slack != 0) {
		size_t front = -((size_t)b + HEADER) & (alignment - 1);
		if (front != 0) {
			size_t size_of_rest = size_of(b) - front;
			struct block *aligned = (struct block *)((char *)b + front);
			aligned->size_and_state = size_of_rest | FREE;
			aligned->before = front;
			make_free(b, front, b->before);
			after(aligned)->before = size_of_rest;
			b = aligned;
		}
	}
	return take(b, need);
}

void dandelion_free(void *memory)
{
	if (memory == NULL)
		return;
	struct block *b = (struct block *)((char *)memory - HEADER);
	if ((size_t)memory % GRAIN != 0 || (b->size_and_state & STATE) != USED || size_of(b) == 0)
		__dandelion_fail(DANDELION_DOUBLE_FREE);
	release(b);
}

size_t __dandelion_size(const void *memory)
{
	return size_of((const struct block *)((const char *)memory - HEADER)) - HEADER;
}

int __dandelion_extend(void *memory, size_t size)
{
	struct block *b = (struct block *)((char *)memory - HEADER);
	if ((b->size_and_state & STATE) != USED || size > SIZE_MAX - HEADER - GRAIN)
		return 0;
	size_t need = (size + HEADER + GRAIN - 1) & ~(GRAIN - 1);
	if (need <= size_of(b))
		return 1;
	check_sizes(b);
	struct block *next = after(b);
	size_t more = need - size_of(b);
	if (next == fence || (is_free(next) && size_of(next) < more && after(next) == fence)) {
		/* The last block of the heap: what is missing comes from a longer one. */
		if (!extend(more))
			return 0;
		next = after(b);
	}
	if (!is_free(next) || size_of(next) < more)
		return 0;
	check_sizes(next);
	unlist(next);
	size_t rest = size_of(next) - more;
	b->size_and_state = need | USED;
	if (rest != 0)
		make_free(after(b), rest, need);
	else
		after(b)->before = need;
	return 1;
}
