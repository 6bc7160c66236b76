// __NAME__: makes the letters of a text capitals.
//
// A program as everywhere: what the set stdio has as stdin is its standard input,
// and its standard output becomes the item stdout. An input set NAME is the
// directory /NAME, with a file for each item; files that are in /NAME of an output
// set at the end are its items.
#include <algorithm>
#include <cctype>
#include <iostream>
#include <string>

#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "__NAME__",
	"description": "Makes the letters of a text capitals.",
	"inputs": ["stdio"],
	"outputs": ["stdio"],
	"layout": "grow"
});

int main()
{
	for (std::string line; std::getline(std::cin, line);) {
		std::transform(line.begin(), line.end(), line.begin(), [](unsigned char c) { return std::toupper(c); });
		std::cout << line << '\n';
	}
}
