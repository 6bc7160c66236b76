/* busy: goes round so many times as its input says, 64 bits, little-endian. */
#include <pappus.h>

#include "busy.h"

PAPPUS_MANIFEST({"name": "busy", "inputs": [{"name": "rounds", "type": "item"}], "outputs": [{"name": "end", "type": "item"}], "layout": "grow"});

static int run(void)
{
	static uint64_t end;
	const IoBuffer *rounds = pappus_item(0, 0);
	if (rounds->data_len != sizeof(end))
		return 1;
	end = busy(*(const uint64_t *)rounds->data);
	pappus_output(0, "end", &end, sizeof(end));
	return 0;
}

PAPPUS_FUNCTION(run)
