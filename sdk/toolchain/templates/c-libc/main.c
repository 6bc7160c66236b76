/* __NAME__: makes the letters of a text capitals.
 *
 * A program as everywhere: what the set stdio has as stdin is its standard input,
 * and its standard output becomes the item stdout. An input set NAME is the
 * directory /NAME, with a file for each item; files that are in /NAME of an output
 * set at the end are its items. */
#include <ctype.h>
#include <stdio.h>

#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "__NAME__",
	"description": "Makes the letters of a text capitals.",
	"inputs": ["stdio"],
	"outputs": ["stdio"],
	"layout": "grow"
});

int main(void)
{
	for (int c; (c = getchar()) != EOF;)
		putchar(toupper(c));
	return 0;
}
