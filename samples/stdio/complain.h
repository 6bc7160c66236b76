/* How functions say what is wrong with an item. */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include <pappus.h>

/* Writes "FUNCTION: ITEM: WHY" as the function's standard error, in the output
 * set stdio, and returns the exit code. */
static inline int complain(size_t stdio, const char *function, const IoBuffer *item, const char *why, int exit_code)
{
	static const char between[] = {':', ' '};
	size_t function_len = strlen(function), why_len = strlen(why);
	size_t len = function_len + sizeof(between) + item->ident_len + sizeof(between) + why_len + 1;
	char *text = pappus_array(len, 1), *at = text;
	memcpy(at, function, function_len), at += function_len;
	memcpy(at, between, sizeof(between)), at += sizeof(between);
	if (item->ident_len != 0) {
		memcpy(at, item->ident, item->ident_len), at += item->ident_len;
		memcpy(at, between, sizeof(between)), at += sizeof(between);
	}
	memcpy(at, why, why_len), at += why_len;
	*at++ = '\n';
	pappus_output(stdio, "stderr", text, (size_t)(at - text));
	return exit_code;
}

#endif
