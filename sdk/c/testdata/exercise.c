/* Does to the runtime what its input says, for ../sdk_test.go: the item of set
 * `steps` is an array of struct step. The answer is what was observed: in set
 * `observed` an int32 for each step that observes something, in set `arena` the
 * bytes that the memory functions worked on. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "exercise",
	"inputs": [{"name": "steps", "type": "item"}],
	"outputs": ["observed", "arena"],
	"layout": "grow"
});

enum { ALLOC, FREE, FREE_AGAIN, OVERRUN, SBRK, COPY, MOVE, SET, COMPARE, LENGTH, PUT, EXIT };
enum { DAMAGED = 2 };
enum { SLOTS = 32, ARENA = 4096 };

struct step {
	uint32_t what, a, b, c;
};

struct slot {
	unsigned char *memory;
	size_t size;
};

static struct slot slots[SLOTS];
static unsigned char arena[ARENA];

/* Every byte of a block, and its place, tell whose it is. */
static unsigned char mark(size_t slot, size_t at) { return (unsigned char)(slot * 37 + at * 11 + 1); }

static void fill(size_t slot)
{
	for (size_t i = 0; i < slots[slot].size; i++)
		slots[slot].memory[i] = mark(slot, i);
}

static int intact(size_t slot)
{
	for (size_t i = 0; i < slots[slot].size; i++)
		if (slots[slot].memory[i] != mark(slot, i))
			return 0;
	return 1;
}

static int order(int comparison) { return (comparison > 0) - (comparison < 0); }

/* Whether the step observed something, in *observed. */
static int take(const struct step *s, int32_t *observed)
{
	struct slot *slot = &slots[s->a % SLOTS];
	switch (s->what) {
	case ALLOC:
		*slot = (struct slot){dandelion_alloc(s->b, s->c), s->b};
		*observed = slot->memory == NULL ? -1 : s->c == 0 ? 0 : (int32_t)((size_t)slot->memory % s->c);
		if (slot->memory == NULL)
			slot->size = 0;
		fill(s->a);
		return 1;
	case FREE:
		*observed = intact(s->a);
		dandelion_free(slot->memory);
		*slot = (struct slot){0};
		return 1;
	case FREE_AGAIN:
		dandelion_free(slot->memory);
		dandelion_free(slot->memory);
		return 0;
	case OVERRUN:
		memset(slot->memory, 0xFF, slot->size + s->b);
		dandelion_free(slot->memory);
		return 0;
	case SBRK:
		*slot = (struct slot){dandelion_sbrk(s->b), s->b};
		*observed = slot->memory == NULL ? -1 : 0;
		if (slot->memory == NULL)
			slot->size = 0;
		fill(s->a);
		return 1;
	case COPY:
	case MOVE:
		(s->what == COPY ? memcpy : memmove)(arena + s->a, arena + s->b, s->c);
		return 0;
	case SET:
		memset(arena + s->a, (int)s->b, s->c);
		return 0;
	case COMPARE:
		*observed = order(memcmp(arena + s->a, arena + s->b, s->c));
		return 1;
	case LENGTH:
		*observed = (int32_t)strlen((const char *)arena + s->a);
		return 1;
	case PUT:
		pappus_output(s->a, "put", "x", 1);
		*observed = (int32_t)dandelion_output_buffer_count(s->a);
		return 1;
	default:
		dandelion_exit((int)s->a);
	}
}

static int run(void)
{
	const IoBuffer *item = pappus_item(0, 0);
	const struct step *steps = item->data;
	size_t n = item->data_len / sizeof(*steps), seen = 0;
	int32_t *observed = dandelion_sbrk(n * sizeof(*observed));
	if (observed == NULL)
		return DANDELION_OUT_OF_MEMORY;
	for (size_t i = 0; i < sizeof(arena); i++)
		arena[i] = (unsigned char)(i % 251);
	for (size_t i = 0; i < n; i++)
		seen += (size_t)take(&steps[i], &observed[seen]);
	for (size_t i = 0; i < SLOTS; i++)
		if (!intact(i))
			return DAMAGED;
	pappus_output(0, "observed", observed, seen * sizeof(*observed));
	pappus_output(1, "arena", arena, sizeof(arena));
	return 0;
}

PAPPUS_FUNCTION(run)
