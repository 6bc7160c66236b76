/* sql: answers queries in SQL over tables in CSV, with SQLite.
 *
 * Each item of tables is a CSV file (RFC 4180, lines may end in LF too) in UTF-8,
 * whose first record names the columns. It becomes a table that is named like
 * its item, without folders before that and .csv behind it. A field that is
 * written like a number in JSON is one, of 64 bits; 007, +1 and whole numbers
 * beyond 64 bits are texts. An empty field is NULL, unless it is quoted. Lines
 * without anything are passed over.
 *
 * query is any number of statements. Each that has columns gives an item of
 * rows, 1.csv, 2.csv and so on: a CSV file with the names of the columns. NULL is
 * an empty field, an empty text a quoted one.
 *
 * Exit codes, with the reason on standard error: 1, a statement is wrong or
 * failed; 2, a table is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pappus.h>

#include "sqlite3.h"

PAPPUS_MANIFEST({
	"name": "sql",
	"description": "Answers queries in SQL over CSV files.",
	"inputs": ["tables", {"name": "query", "type": "item"}],
	"outputs": [{"name": "rows", "type": "set", "content_type": "text/csv; charset=utf-8"}, "stdio"],
	"limits": {"memory": "256MiB", "stack": "2MiB"},
	"layout": "grow"
});

enum { TABLES, QUERY };
enum { ROWS };
enum { BAD_QUERY = 1, BAD_TABLE = 2 };

/* Ends the function when what has returned rc is out of memory. */
static int checked(int rc)
{
	if (rc == SQLITE_NOMEM)
		dandelion_exit(DANDELION_OUT_OF_MEMORY);
	return rc;
}

static void *present(void *memory)
{
	if (memory == NULL)
		checked(SQLITE_NOMEM);
	return memory;
}

/* What is left of a CSV file. */
struct csv {
	char *at, *end;
	size_t line; /* of at, from 1 on */
};

/* A field. Its text is in the file: quotes within quotes are taken out in place. */
struct field {
	char *text;
	size_t len;
	int quoted;
	int last; /* of its record */
};

/* Takes the next field; says what is wrong with it, or NULL. */
static const char *take_field(struct csv *csv, struct field *f)
{
	*f = (struct field){.text = csv->at};
	if (csv->at < csv->end && *csv->at == '"') {
		f->quoted = 1;
		char *to = f->text = ++csv->at;
		for (;; csv->at++) {
			if (csv->at == csv->end)
				return "a quoted field does not end";
			if (*csv->at == '"' && (++csv->at == csv->end || *csv->at != '"'))
				break;
			if (*csv->at == '\n')
				csv->line++;
			*to++ = *csv->at;
		}
		f->len = (size_t)(to - f->text);
	} else {
		while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n') {
			if (*csv->at == '"')
				return "there is a quote inside of a field that is not quoted";
			csv->at++;
		}
		f->len = (size_t)(csv->at - f->text);
		if (f->len != 0 && (csv->at == csv->end || *csv->at == '\n') && f->text[f->len - 1] == '\r')
			f->len--;
	}
	if (f->quoted && csv->end - csv->at >= 2 && csv->at[0] == '\r' && csv->at[1] == '\n')
		csv->at++;
	f->last = csv->at == csv->end || *csv->at == '\n';
	if (f->last)
		csv->line++;
	else if (*csv->at != ',')
		return "something follows a quoted field";
	if (csv->at != csv->end)
		csv->at++;
	return NULL;
}

/* Passes over lines without anything; returns whether a record follows. */
static int more_records(struct csv *csv)
{
	for (;;) {
		if (csv->at == csv->end)
			return 0;
		if (*csv->at == '\n')
			csv->at++;
		else if (*csv->at == '\r' && csv->end - csv->at >= 2 && csv->at[1] == '\n')
			csv->at += 2;
		else
			return 1;
		csv->line++;
	}
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* How many bytes of a number from at on are digits. */
static size_t digits(const char *at, const char *end)
{
	const char *from = at;
	while (at < end && is_digit(*at))
		at++;
	return (size_t)(at - from);
}

/* Whether a field is -?(0|[1-9][0-9]*)(.[0-9]+)?(e[+-]?[0-9]+)?; e may be E. */
static int is_number(const struct field *f, int *whole)
{
	const char *at = f->text, *end = at + f->len;
	if (at < end && *at == '-')
		at++;
	size_t n = digits(at, end);
	if (n == 0 || (n > 1 && *at == '0'))
		return 0;
	at += n;
	*whole = at == end;
	if (at < end && *at == '.') {
		n = digits(++at, end);
		if (n == 0)
			return 0;
		at += n;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		n = digits(at, end);
		if (n == 0)
			return 0;
		at += n;
	}
	return at == end;
}

static int bind(sqlite3_stmt *insert, int column, const struct field *f)
{
	int whole;
	char number[64];
	if (f->len == 0 && !f->quoted)
		return sqlite3_bind_null(insert, column);
	if (f->len >= sizeof(number) || !is_number(f, &whole))
		return sqlite3_bind_text64(insert, column, f->text, f->len, SQLITE_STATIC, SQLITE_UTF8);
	memcpy(number, f->text, f->len);
	number[f->len] = 0;
	if (!whole)
		return sqlite3_bind_double(insert, column, strtod(number, NULL));
	errno = 0;
	long long n = strtoll(number, NULL, 10);
	if (errno != 0)
		return sqlite3_bind_text64(insert, column, f->text, f->len, SQLITE_STATIC, SQLITE_UTF8);
	return sqlite3_bind_int64(insert, column, n);
}

/* The name of an item's table. The caller frees it. */
static char *table_name(const IoBuffer *item)
{
	const char *name = item->ident;
	size_t len = item->ident_len;
	for (size_t i = len; i > 0; i--)
		if (name[i - 1] == '/') {
			name += i;
			len -= i;
			break;
		}
	if (len > 4 && memcmp(name + len - 4, ".csv", 4) == 0)
		len -= 4;
	return present(sqlite3_mprintf("%.*s", (int)len, name));
}

/* Makes a table with the columns that the first record names, and the statement
 * that inserts a record. Returns what is wrong, or NULL. */
static const char *create(sqlite3 *db, struct csv *csv, const char *table, int *columns, sqlite3_stmt **insert)
{
	sqlite3_str *create = sqlite3_str_new(db), *values = sqlite3_str_new(db);
	struct field f = {0};
	const char *wrong = more_records(csv) ? NULL : "there is no record with the names of the columns";
	sqlite3_str_appendf(create, "CREATE TABLE \"%w\" (", table);
	sqlite3_str_appendf(values, "INSERT INTO \"%w\" VALUES (", table);
	for (*columns = 0; wrong == NULL && !f.last;) {
		wrong = take_field(csv, &f);
		if (wrong != NULL)
			break;
		char *name = present(sqlite3_mprintf("%.*s", (int)f.len, f.text));
		sqlite3_str_appendf(create, "%s\"%w\"", *columns == 0 ? "" : ", ", name);
		sqlite3_str_appendall(values, *columns == 0 ? "?" : ", ?");
		sqlite3_free(name);
		++*columns;
	}
	sqlite3_str_appendchar(create, 1, ')');
	sqlite3_str_appendchar(values, 1, ')');
	char *sql_create = present(sqlite3_str_finish(create)), *sql_values = present(sqlite3_str_finish(values));
	if (wrong == NULL && checked(sqlite3_exec(db, sql_create, NULL, NULL, NULL)) != SQLITE_OK)
		wrong = sqlite3_errmsg(db);
	else if (wrong == NULL && checked(sqlite3_prepare_v2(db, sql_values, -1, insert, NULL)) != SQLITE_OK)
		wrong = sqlite3_errmsg(db);
	sqlite3_free(sql_create);
	sqlite3_free(sql_values);
	return wrong;
}

/* Inserts all records. Returns what is wrong, or NULL. */
static const char *fill(sqlite3 *db, struct csv *csv, int columns, sqlite3_stmt *insert)
{
	while (more_records(csv)) {
		size_t line = csv->line;
		struct field f = {0};
		for (int i = 1; !f.last; i++) {
			const char *wrong = take_field(csv, &f);
			if (wrong != NULL)
				return wrong;
			if ((i == columns) != f.last) {
				csv->line = line;
				return i == columns ? "a record has more fields than there are columns" : "a record has fewer fields than there are columns";
			}
			if (checked(bind(insert, i, &f)) != SQLITE_OK)
				return sqlite3_errmsg(db);
		}
		if (checked(sqlite3_step(insert)) != SQLITE_DONE || checked(sqlite3_reset(insert)) != SQLITE_OK)
			return sqlite3_errmsg(db);
	}
	return NULL;
}

/* Makes a table of an item. */
static int load(sqlite3 *db, const IoBuffer *item)
{
	static const char bom[] = {'\xEF', '\xBB', '\xBF'};
	struct csv csv = {item->data, (char *)item->data + item->data_len, 1};
	if (item->data_len >= sizeof(bom) && memcmp(csv.at, bom, sizeof(bom)) == 0)
		csv.at += sizeof(bom);
	char *table = table_name(item);
	sqlite3_stmt *insert = NULL;
	int columns;
	const char *wrong = create(db, &csv, table, &columns, &insert);
	if (wrong == NULL)
		wrong = fill(db, &csv, columns, insert);
	if (wrong != NULL)
		fprintf(stderr, "sql: table %s, line %zu: %s\n", table, csv.line, wrong);
	sqlite3_finalize(insert);
	sqlite3_free(table);
	return wrong == NULL ? 0 : BAD_TABLE;
}

static void put_field(sqlite3_str *to, const char *text, size_t len)
{
	int quote = len == 0 || text[0] == ' ';
	for (size_t i = 0; i < len; i++)
		quote |= text[i] == '"' || text[i] == ',' || text[i] == '\n' || text[i] == '\r';
	if (!quote) {
		sqlite3_str_append(to, text, (int)len);
		return;
	}
	sqlite3_str_appendchar(to, 1, '"');
	for (size_t i = 0; i < len; i++)
		sqlite3_str_appendchar(to, text[i] == '"' ? 2 : 1, text[i]);
	sqlite3_str_appendchar(to, 1, '"');
}

/* Runs a statement; what it gives becomes the item of that number. */
static int answer(sqlite3 *db, sqlite3_stmt *statement, size_t number)
{
	sqlite3_str *rows = sqlite3_str_new(db);
	int columns = sqlite3_column_count(statement), rc;
	for (int i = 0; i < columns; i++) {
		const char *name = present((void *)sqlite3_column_name(statement, i));
		if (i != 0)
			sqlite3_str_appendchar(rows, 1, ',');
		put_field(rows, name, strlen(name));
	}
	if (columns != 0)
		sqlite3_str_appendchar(rows, 1, '\n');
	while ((rc = checked(sqlite3_step(statement))) == SQLITE_ROW) {
		for (int i = 0; i < columns; i++) {
			if (i != 0)
				sqlite3_str_appendchar(rows, 1, ',');
			if (sqlite3_column_type(statement, i) == SQLITE_NULL)
				continue;
			const void *text = present((void *)sqlite3_column_text(statement, i));
			put_field(rows, text, (size_t)sqlite3_column_bytes(statement, i));
		}
		sqlite3_str_appendchar(rows, 1, '\n');
	}
	if (rc != SQLITE_DONE) {
		sqlite3_free(sqlite3_str_finish(rows));
		return rc;
	}
	rc = checked(sqlite3_str_errcode(rows));
	size_t len = (size_t)sqlite3_str_length(rows);
	char *text = sqlite3_str_finish(rows); /* stays until the end */
	if (rc != SQLITE_OK || columns == 0)
		return rc;
	char *name = present(sqlite3_mprintf("%d.csv", (int)number));
	pappus_put(ROWS, (IoBuffer){name, strlen(name), text, len, number});
	return SQLITE_OK;
}

/* Runs all statements. */
static int query(sqlite3 *db, const IoBuffer *item)
{
	const char *at = item->data, *end = at + item->data_len;
	for (size_t number = 1; at < end;) {
		sqlite3_stmt *statement;
		int rc = checked(sqlite3_prepare_v2(db, at, (int)(end - at), &statement, &at));
		int columns = sqlite3_column_count(statement);
		if (rc == SQLITE_OK && statement == NULL && at < end && *at == 0)
			break; /* nothing of SQL is behind a NUL */
		if (rc == SQLITE_OK && statement != NULL)
			rc = answer(db, statement, number);
		if (rc != SQLITE_OK) {
			fprintf(stderr, "sql: %s\n", rc == SQLITE_TOOBIG ? "the rows are too large" : sqlite3_errmsg(db));
			sqlite3_finalize(statement);
			return BAD_QUERY;
		}
		number += columns != 0;
		sqlite3_finalize(statement);
	}
	return 0;
}

int main(void)
{
	sqlite3 *db;
	if (checked(sqlite3_open(":memory:", &db)) != SQLITE_OK) {
		fprintf(stderr, "sql: %s\n", sqlite3_errmsg(db));
		return BAD_QUERY;
	}
	for (size_t i = 0; i < pappus_count(TABLES); i++) {
		int code = load(db, pappus_item(TABLES, i));
		if (code != 0)
			return code;
	}
	return query(db, pappus_item(QUERY, 0));
}
