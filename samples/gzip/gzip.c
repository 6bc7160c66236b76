/* gzip: compresses files.
 *
 * Each item of files gives a gzip file (RFC 1952) of the same key, whose name
 * has .gz behind it. The same bytes are always compressed to the same: no time
 * is written. */
#include <pappus.h>

#include "../deflate/crc32.h"
#include "deflate.h"

PAPPUS_MANIFEST({
	"name": "gzip",
	"description": "Compresses files with gzip.",
	"inputs": ["files"],
	"outputs": [{"name": "files", "type": "set", "content_type": "application/gzip"}],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { FILES };
enum { TRAILER = 8 };

static uint8_t *put_little_u32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++, v >>= 8)
		*to++ = (uint8_t)v;
	return to;
}

static IoBuffer gzip(struct deflater *d, const uint32_t crc_table[256], IoBuffer item)
{
	/* Deflate, no time, from no particular system. */
	static const uint8_t header[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF};
	const uint8_t *data = item.data;
	uint8_t *to = pappus_array(sizeof(header) + deflate_most(item.data_len) + TRAILER, 1);
	memcpy(to, header, sizeof(header));
	uint8_t *at = deflate(d, data, item.data_len, to + sizeof(header));
	at = put_little_u32(at, crc32(crc_table, data, item.data_len));
	at = put_little_u32(at, (uint32_t)item.data_len);
	char *name = pappus_array(item.ident_len + 3, 1);
	if (item.ident_len != 0)
		memcpy(name, item.ident, item.ident_len);
	memcpy(name + item.ident_len, ".gz", 3);
	return (IoBuffer){name, item.ident_len + 3, to, (size_t)(at - to), item.key};
}

static int run(void)
{
	uint32_t crc_table[256];
	make_crc_table(crc_table);
	struct deflater *d = pappus_array(1, sizeof(*d));
	for (size_t i = 0; i < pappus_count(FILES); i++)
		pappus_put(FILES, gzip(d, crc_table, *pappus_item(FILES, i)));
	return 0;
}

PAPPUS_FUNCTION(run)
