/* __NAME__: makes the letters of texts capitals.
 *
 * The manifest names the sets of items that the function takes and gives. Sets
 * are numbered from 0 in its order: set 0 of the inputs is text, set 0 of the
 * outputs is upper. pappus.h says what else there is. */
#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "__NAME__",
	"description": "Makes the letters of texts capitals.",
	"inputs": ["text"],
	"outputs": ["upper"],
	"layout": "grow"
});

static int run(void)
{
	for (size_t i = 0; i < pappus_count(0); i++) {
		IoBuffer item = *pappus_item(0, i);
		char *bytes = item.data; /* the function's own: it may work in place */
		for (size_t j = 0; j < item.data_len; j++)
			if (bytes[j] >= 'a' && bytes[j] <= 'z')
				bytes[j] -= 'a' - 'A';
		pappus_put(0, item); /* under the same name */
	}
	return 0;
}

PAPPUS_FUNCTION(run)
