/* gunzip: decompresses gzip files.
 *
 * Each item of files is a gzip file (RFC 1952) of one member, and gives an item
 * of the same name, without .gz behind it, and the same key. Nothing that a file
 * says is believed: size and checksum must be right, and nothing may follow.
 *
 * Exit code 1, with the item and the reason on standard error: the item is no
 * such file, or a damaged one. */
#include <pappus.h>

#include "../deflate/crc32.h"
#include "../deflate/inflate.h"
#include "../stdio/complain.h"

PAPPUS_MANIFEST({
	"name": "gunzip",
	"description": "Decompresses gzip files.",
	"inputs": ["files"],
	"outputs": ["files", "stdio"],
	"limits": {"memory": "256MiB"},
	"layout": "grow"
});

enum { FILES, STDIO };
enum { HEADER = 10, TRAILER = 8, MOST_EXPANSION = 1032 };
enum { HEADER_CRC = 2, EXTRA = 4, NAME = 8, COMMENT = 16, RESERVED = 0xE0 };

static uint32_t little_u32(const uint8_t *b) { return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24; }

/* Passes over a text that ends in a NUL; 0 if it does not end. */
static int pass_text(const uint8_t **at, const uint8_t *end)
{
	while (*at < end)
		if (*(*at)++ == 0)
			return 1;
	return 0;
}

/* Passes over the header; says what is wrong with it, or NULL. */
static const char *pass_header(const uint32_t crc_table[256], const uint8_t **at, const uint8_t *end)
{
	static const char cut[] = "the header is cut short";
	const uint8_t *begin = *at;
	if (end - begin < HEADER || begin[0] != 0x1F || begin[1] != 0x8B)
		return "this is not a gzip file";
	uint8_t flags = begin[3];
	if (begin[2] != 8 || (flags & RESERVED) != 0)
		return "it is compressed in a way that is not known";
	*at += HEADER;
	if (flags & EXTRA) {
		if (end - *at < 2)
			return cut;
		ptrdiff_t len = (*at)[0] | (*at)[1] << 8;
		*at += 2;
		if (end - *at < len)
			return cut;
		*at += len;
	}
	if ((flags & NAME) && !pass_text(at, end))
		return cut;
	if ((flags & COMMENT) && !pass_text(at, end))
		return cut;
	if (flags & HEADER_CRC) {
		if (end - *at < 2)
			return cut;
		uint32_t crc = crc32(crc_table, begin, (size_t)(*at - begin)) & 0xFFFF;
		if (crc != (uint32_t)((*at)[0] | (*at)[1] << 8))
			return "the checksum of the header is wrong";
		*at += 2;
	}
	return NULL;
}

/* Decompresses a file; says what is wrong with it, or NULL. */
static const char *gunzip(const uint32_t crc_table[256], IoBuffer *item)
{
	const uint8_t *at = item->data, *end = at + item->data_len;
	const char *wrong = pass_header(crc_table, &at, end);
	if (wrong != NULL)
		return wrong;
	if (end - at < TRAILER)
		return TRUNCATED;
	/* Nothing expands to more than that, so a size that is a lie takes no memory. */
	size_t size = little_u32(end - 4), compressed = (size_t)(end - at - TRAILER);
	if (size / MOST_EXPANSION > compressed)
		return "it can't have the size that it says";
	uint8_t *to = pappus_array(size, 1), trailer[TRAILER];
	struct bits b = {at, end, 0, 0};
	struct sink out = {to, to, to + size};
	wrong = inflate_blocks(&b, &out);
	if (wrong != NULL)
		return wrong;
	if (!take_bytes(&b, trailer, sizeof(trailer)))
		return TRUNCATED;
	if (!ended(&b))
		return "something follows the compressed data";
	if (little_u32(trailer) != crc32(crc_table, to, size))
		return "the checksum of the data is wrong";
	item->data = to;
	item->data_len = size;
	return NULL;
}

static int run(void)
{
	uint32_t crc_table[256];
	make_crc_table(crc_table);
	for (size_t i = 0; i < pappus_count(FILES); i++) {
		IoBuffer item = *pappus_item(FILES, i);
		const char *wrong = gunzip(crc_table, &item);
		if (wrong != NULL)
			return complain(STDIO, "gunzip", &item, wrong, 1);
		if (item.ident_len > 3 && memcmp((const char *)item.ident + item.ident_len - 3, ".gz", 3) == 0)
			item.ident_len -= 3;
		pappus_put(FILES, item);
	}
	return 0;
}

PAPPUS_FUNCTION(run)
