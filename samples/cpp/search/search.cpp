// search: finds the texts that have what a query asks for, the best first.
//
// query is words between blanks, of which a text must have all: "some words" in
// quotes, and those of e-mail, must follow each other, and a text with a -word or
// -"some words" is left out. A word is letters and digits, capitals or not; every
// character beyond ASCII is a letter.
//
// found gets a line SCORE NAME:NUMBER:LINE for each text: its first line with the
// most of these words. The score is Okapi BM25's: words count that occur often in
// the text, and more if they are rare and the text is short.
//
// Exit code 1, with the reason on stderr: there is nothing to look for, or a quote
// that does not end.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <pappus.h>

PAPPUS_MANIFEST({
	"name": "search",
	"description": "Finds the texts that have the words of a query, the best first.",
	"inputs": ["texts", {"name": "query", "type": "item"}],
	"outputs": [{"name": "found", "type": "item"}, "stdio"],
	"layout": "grow"
});

namespace {

enum { TEXTS, QUERY };
enum { FOUND };

// Where a word occurs: in which text, as which of its words, in which line.
struct Place {
	std::uint32_t text, word, line;

	friend bool operator<(const Place &a, const Place &b) { return a.text != b.text ? a.text < b.text : a.word < b.word; }
};

// Where the words of a query occur, in order.
using Index = std::unordered_map<std::string, std::vector<Place>>;

struct Text {
	std::string_view name, bytes;
	std::uint32_t words;
};

using Phrase = std::vector<std::string>; // a word by itself is one, too

struct Query {
	std::vector<Phrase> with, without;
};

bool is_letter(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

// Calls use(word, line) for each word of a text, with small letters.
template <typename Use>
void each_word(std::string_view text, Use use)
{
	std::uint32_t line = 0;
	std::string word;
	for (char c : text) {
		if (is_letter(c)) {
			word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
			continue;
		}
		if (!word.empty())
			use(word, line);
		word.clear();
		line += c == '\n';
	}
	if (!word.empty())
		use(word, line);
}

std::string_view view(const char *bytes, std::size_t len) { return len == 0 ? std::string_view() : std::string_view(bytes, len); }

std::string_view content(const IoBuffer *item) { return view(static_cast<const char *>(item->data), item->data_len); }

// Says what is wrong with a query, or nullptr.
const char *parse(std::string_view text, Query &query)
{
	const char *const blanks = " \t\r\n";
	for (std::size_t at = 0; (at = text.find_first_not_of(blanks, at)) != std::string_view::npos;) {
		bool without = text[at] == '-';
		at += without;
		std::size_t end = std::min(text.find_first_of(" \t\r\n\"", at), text.size()), next = end;
		if (at < text.size() && text[at] == '"') {
			if ((end = text.find('"', ++at)) == std::string_view::npos)
				return "a quote does not end";
			next = end + 1;
		}
		Phrase phrase;
		each_word(text.substr(at, end - at), [&](const std::string &word, std::uint32_t) { phrase.push_back(word); });
		if (!phrase.empty())
			(without ? query.without : query.with).push_back(phrase);
		at = next;
	}
	return query.with.empty() ? "there is nothing to look for" : nullptr;
}

class Search {
public:
	explicit Search(const Query &query) : query(query)
	{
		for (const auto *phrases : {&query.with, &query.without})
			for (const Phrase &phrase : *phrases)
				for (const auto &word : phrase)
					index[word];
		for (std::size_t i = 0; i < pappus_count(TEXTS); i++) {
			const IoBuffer *item = pappus_item(TEXTS, i);
			Text text{view(item->ident, item->ident_len), content(item), 0};
			auto number = static_cast<std::uint32_t>(i);
			each_word(text.bytes, [&](const std::string &word, std::uint32_t line) {
				auto found = index.find(word);
				if (found != index.end())
					found->second.push_back({number, text.words, line});
				text.words++;
			});
			words += text.words;
			texts.push_back(text);
		}
	}

	// The lines of the texts that the query finds.
	std::string answer() const
	{
		struct Hit {
			std::uint32_t text;
			double score;
		};
		std::vector<Hit> hits;
		for (std::uint32_t text = 0; text < texts.size(); text++) {
			auto has = [&](const Phrase &phrase) { return has_phrase(text, phrase); };
			if (!std::all_of(query.with.begin(), query.with.end(), has) || std::any_of(query.without.begin(), query.without.end(), has))
				continue;
			double score = 0;
			for (const auto &phrase : query.with)
				for (const auto &word : phrase)
					score += worth(text, word);
			hits.push_back({text, score});
		}
		std::stable_sort(hits.begin(), hits.end(), [](const Hit &a, const Hit &b) { return a.score > b.score; });
		std::string lines;
		for (const Hit &hit : hits) {
			char score[64];
			std::snprintf(score, sizeof(score), "%.3f ", hit.score);
			std::uint32_t line = best_line(hit.text);
			lines += score;
			lines += texts[hit.text].name;
			lines += ':' + std::to_string(line + 1) + ':';
			lines += line_of(texts[hit.text].bytes, line);
			lines += '\n';
		}
		return lines;
	}

private:
	struct Range {
		const Place *from, *to;
		const Place *begin() const { return from; }
		const Place *end() const { return to; }
		std::size_t size() const { return static_cast<std::size_t>(to - from); }
	};

	Range places(const std::string &word) const
	{
		const auto &all = index.find(word)->second;
		return {all.data(), all.data() + all.size()};
	}

	Range places(const std::string &word, std::uint32_t text) const
	{
		Range all = places(word);
		const Place *from = std::lower_bound(all.from, all.to, Place{text, 0, 0});
		return {from, std::lower_bound(from, all.to, Place{text + 1, 0, 0})};
	}

	bool has_phrase(std::uint32_t text, const Phrase &phrase) const
	{
		for (const Place &first : places(phrase[0], text)) {
			std::uint32_t n = 1;
			while (n < phrase.size()) {
				Range others = places(phrase[n], text);
				if (!std::binary_search(others.from, others.to, Place{text, first.word + n, 0}))
					break;
				n++;
			}
			if (n == phrase.size())
				return true;
		}
		return false;
	}

	// How many texts have a word.
	std::size_t texts_with(const std::string &word) const
	{
		std::size_t n = 0;
		const Place *last = nullptr;
		for (const Place &place : places(word)) {
			n += last == nullptr || last->text != place.text;
			last = &place;
		}
		return n;
	}

	double worth(std::uint32_t text, const std::string &word) const
	{
		const double saturation = 1.2, by_length = 0.75;
		auto times = static_cast<double>(places(word, text).size());
		if (times == 0)
			return 0;
		auto with = static_cast<double>(texts_with(word)), all = static_cast<double>(texts.size());
		double length = texts[text].words * all / static_cast<double>(words);
		return std::log(1 + (all - with + 0.5) / (with + 0.5)) * times * (saturation + 1) / (times + saturation * (1 - by_length + by_length * length));
	}

	// The first line with the most words of the query.
	std::uint32_t best_line(std::uint32_t text) const
	{
		std::vector<std::uint32_t> lines;
		for (const auto &phrase : query.with)
			for (const auto &word : phrase)
				for (const Place &place : places(word, text))
					lines.push_back(place.line);
		std::sort(lines.begin(), lines.end());
		std::uint32_t best = 0;
		for (std::size_t i = 0, most = 0; i < lines.size();) {
			std::size_t from = i;
			while (i < lines.size() && lines[i] == lines[from])
				i++;
			if (i - from > most) {
				most = i - from;
				best = lines[from];
			}
		}
		return best;
	}

	static std::string_view line_of(std::string_view text, std::uint32_t number)
	{
		std::size_t from = 0;
		while (number-- > 0)
			from = text.find('\n', from) + 1;
		std::string_view line = text.substr(from, text.find('\n', from) - from);
		if (!line.empty() && line.back() == '\r')
			line.remove_suffix(1);
		return line;
	}

	const Query &query;
	std::vector<Text> texts;
	std::size_t words = 0; // of all texts
	Index index;
};

} // namespace

int main()
{
	Query query;
	if (const char *wrong = parse(content(pappus_item(QUERY, 0)), query)) {
		std::fprintf(stderr, "search: the query: %s\n", wrong);
		return 1;
	}
	// It is never deleted: outputs are read when all is over, destructors of static objects included.
	const auto &lines = *new std::string(Search(query).answer());
	pappus_output(FOUND, "found", lines.data(), lines.size());
}
