/* A function that traps three calls deep, through a loop, an inlined function and
 * one that is dropped. TestLines says how it is built. */
#include <pappus.h>

PAPPUS_MANIFEST({"inputs": ["text"], "outputs": ["upper"], "layout": "grow"});

/* The linker leaves this out, and its lines in the table. */
__attribute__((noinline)) int dropped(int n)
{
	return n * n;
}

static inline __attribute__((always_inline)) int inlined(int n)
{
	if (n > 4)
		__builtin_trap();
	return n;
}

__attribute__((noinline)) static int deepest(int n)
{
	return inlined(n) + 1;
}

__attribute__((noinline)) static int middle(const char *text, int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += text[i] == 'b' ?
			deepest(i) :
			text[i];
	return sum;
}

static int run(void)
{
	const IoBuffer *item = pappus_item(0, 0);
	int first = middle("abc", 3);
	return first + middle(item->data, (int)item->data_len);
}

PAPPUS_FUNCTION(run)
